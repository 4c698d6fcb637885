# The service in a container. It has not been run where it was written: no Docker was there.
#
#   docker build -t cadenza .
#   docker run -p 8000:8000 -v cadenza:/data cadenza keys new NAME
#   docker run -p 8000:8000 -v cadenza:/data cadenza
FROM python:3.12-slim

RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt ".[server]"

# Nothing of it needs to be root, and nothing but /data is written to.
RUN useradd --create-home cadenza && mkdir /data && chown cadenza /data
USER cadenza
ENV CADENZA_FOLDER=/data
VOLUME /data
EXPOSE 8000

ENTRYPOINT ["cadenza"]
CMD ["serve", "--host", "0.0.0.0"]
