# The service in a container, for Docker 23 and later:
#
#   docker build -t cadenza .
#   docker run --rm -v cadenza:/data cadenza keys new NAME
#   docker run --rm --init -p 8000:8000 -v cadenza:/data cadenza
#
# torch brings all of CUDA. From PyTorch's index of CPU builds all is 1.8 GB (`docker images`):
#
#   docker build --build-arg PIP_EXTRA_INDEX_URL=… -t cadenza .
FROM python:3.11-slim-bookworm

ARG PIP_EXTRA_INDEX_URL
RUN --mount=type=bind,target=/source --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint /source/constraints.txt "/source[server]"

# Nothing of it needs to be root. Its home is the volume, so that models are fetched and converted
# once; nothing but this and /tmp is written to.
RUN useradd --create-home --home-dir /data cadenza
USER cadenza
ENV CADENZA_FOLDER=/data
VOLUME /data
EXPOSE 8000

ENTRYPOINT ["cadenza"]
CMD ["serve", "--host", "0.0.0.0"]
