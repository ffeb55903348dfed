# One image for every process of evenhand; docker-compose.yml gives each its command.
ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE}

# LightGBM needs OpenMP.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 evenhand

# agents, adapters, models, config and data are run from /app and never installed. `faust -A` has the current folder on
# the path only while it imports the application, so the path says it for good.
WORKDIR /app
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 EVENHAND_HOME=/app/var

# The requirements change less often than the code.
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY evenhand/__init__.py evenhand/__init__.py
RUN pip install --no-cache-dir --disable-pip-version-check -e '.[onnx,tracking,tuning]' -c constraints.txt

COPY . .
RUN mkdir -p /app/var && chown evenhand /app/var

USER evenhand
VOLUME /app/var
STOPSIGNAL SIGTERM
ENTRYPOINT ["evenhand"]
CMD ["--help"]
