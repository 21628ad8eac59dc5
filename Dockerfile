# The broker as a container: numeric user, read-only code, one volume with all that it keeps.
#
#   make image
#   docker run --read-only --stop-timeout 40 -p 50051:50051 -p 8080:8080 \
#     -v keybroker:/var/lib/keybroker -v /etc/keybroker:/etc/keybroker:ro \
#     --env-file keybroker.env keybroker
#
# For builds that are the same tomorrow, name the base by digest: BASE_IMAGE=python@sha256:…
ARG BASE_IMAGE=python:3.11-slim-bookworm

# --- Build: the pinned dependencies, then the broker and its stubs ---------------------------

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The broker's environment gets no pip of its own, and the tools that build it stay behind.
RUN python3 -m venv --without-pip /opt/keybroker && python3 -m venv /tools
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /tools/bin/pip install --require-hashes --requirement requirements/build.txt \
    && /tools/bin/pip --python /opt/keybroker/bin/python install \
        --require-hashes --requirement requirements/runtime.txt

COPY pyproject.toml ./
COPY broker broker
COPY simulator simulator
COPY clients/python clients/python
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir wheels \
        . ./clients/python \
    && /tools/bin/pip --python /opt/keybroker/bin/python install --no-deps --no-index wheels/*.whl \
    && /opt/keybroker/bin/keybroker --version

COPY deploy/container/health.py ./
RUN install -m 0444 health.py /opt/keybroker/health.py

# --- Run -------------------------------------------------------------------------------------

FROM ${BASE_IMAGE}
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Keybroker" \
      org.opencontainers.image.description="Leases provider API keys to LLM gateways and learns from their outcomes." \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=build /opt/keybroker /opt/keybroker
RUN install -d -m 0700 -o 10001 -g 10001 /var/lib/keybroker

# Beyond loopback the broker refuses to start without TLS and tokens: it says which settings are
# missing. Where it shares its network with the gateway, set both to 127.0.0.1 instead.
ENV PATH=/opt/keybroker/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    KEYBROKER_DATABASE=sqlite:////var/lib/keybroker/keybroker.db \
    KEYBROKER_GRPC_LISTEN=0.0.0.0:50051 \
    KEYBROKER_HTTP_LISTEN=0.0.0.0:8080

# A mounted folder must belong to this user. SQLite's scratch files need the working folder.
USER 10001:10001
WORKDIR /var/lib/keybroker
VOLUME /var/lib/keybroker
EXPOSE 50051 8080

# Draining takes up to KEYBROKER_DRAIN_SECONDS: allow more than that before the container is killed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["/opt/keybroker/bin/python", "-I", "/opt/keybroker/health.py"]
ENTRYPOINT ["keybroker"]
CMD ["serve"]
