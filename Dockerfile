# syntax=docker/dockerfile:1

FROM rust:1-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends busybox-static cmake make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# The dependencies, in a layer that only changes with them. The manifest names the benchmarks, so they have
# to be there.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY benches benches
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked \
    && rm -r src

COPY config/fallback config/fallback
COPY src src
# Cargo goes by times, and the files of a checkout may be older than that empty build.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /bin/busybox /usr/bin/wget
COPY --from=build /src/target/release/breadbox /usr/bin/breadbox
COPY proxy.yaml /etc/breadbox/proxy.yaml
WORKDIR /etc/breadbox
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD [ "/usr/bin/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:9145/healthz" ]
ENTRYPOINT [ "/usr/bin/breadbox" ]
CMD [ "run" ]
