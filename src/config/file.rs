//! From the text of `proxy.yaml` to a [`super::Config`]: every mistake at once, with file, line and key.
