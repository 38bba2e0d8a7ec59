// The app is copied below the project's own `target/`, so the root has to be named.

export default { turbopack: { root: import.meta.dirname } };
