# The server in one image: `docker build -t voicebot .`
#
# EXTRAS=gpl adds Piper and eSpeak NG (GPL-3.0, run in processes of their own). Build with
# --build-arg EXTRAS= for an image without them; then a cloud voice has to be set.
FROM python:3.11-slim

ARG EXTRAS=gpl

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    VOICEBOT_DATA_DIR=/var/lib/voicebot \
    VOICEBOT_DEPLOYMENT=/app

RUN useradd --system --uid 10001 --home-dir /var/lib/voicebot --create-home voicebot

WORKDIR /app

# Dependencies first: this layer is rebuilt only when a pin changes. The package itself is a stub here.
COPY pyproject.toml constraints.txt LICENSE README.md ./
RUN mkdir voicebot && touch voicebot/__init__.py \
    && pip install -c constraints.txt ".${EXTRAS:+[$EXTRAS]}" \
    && pip uninstall --yes voicebot && rm -r voicebot

# The package and the reference deployment beside it (pipelines/, tools/, business/); .dockerignore keeps the
# rest out. For another business mount its folder and set VOICEBOT_DEPLOYMENT.
COPY . .
RUN pip install --no-deps . && rm -rf build voicebot.egg-info

# Database (when embedded), keys, recordings and pulled models: keep this volume.
RUN install -d -o voicebot -g voicebot -m 0700 /var/lib/voicebot
VOLUME /var/lib/voicebot

USER voicebot
EXPOSE 8080

# SIGTERM drains: calls that are under way finish first (VOICEBOT_DRAIN_S, 300 s). Give `docker stop` as long.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]

CMD ["voicebot", "serve", "--host", "0.0.0.0", "--port", "8080"]
