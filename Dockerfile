# One image, every role: docker run IMAGE api | engine | worker | migrate, with the settings of .env.example
# in the environment. An orchestrator stops it with SIGTERM; the roles finish what they took and end.

# The builder takes every package from the lock file, hashes checked, and installs only what the roles need at run
# time: development tools and the embedded databases are downloaded with the lock but never installed.
FROM python:3.13-slim-trixie AS builder
WORKDIR /src
COPY requirements.lock ./
RUN pip download --require-hashes --no-deps --only-binary :all: -r requirements.lock -d /wheels
COPY pyproject.toml README.md LICENSE ./
COPY migrations ./migrations
COPY app ./app
RUN python -m venv --without-pip /opt/orderwire && \
    pip --python /opt/orderwire/bin/python install --no-cache-dir --no-index --find-links /wheels .

FROM python:3.13-slim-trixie
RUN groupadd --gid 10001 orderwire && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin orderwire
COPY --from=builder /opt/orderwire /opt/orderwire
COPY deploy/healthcheck.py /opt/orderwire/healthcheck.py
ENV PATH=/opt/orderwire/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORDERWIRE_ENVIRONMENT=production \
    ORDERWIRE_API_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "-I", "/opt/orderwire/healthcheck.py"]
ENTRYPOINT ["orderwire"]
CMD ["api"]
