# The image of the router: Node, our sources as they are, and what they need of npm. No shell, no package manager.
#
#   docker build -t headgate \
#     --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" --build-arg CREATED="$(date -u +%FT%TZ)" .

FROM node:26.10.0-bookworm-slim AS build
# The one library that Node's own builds link and distroless/cc lacks.
RUN install -D "$(ldd /usr/local/bin/node | sed -n 's/.*libatomic.* => \(.*\) (.*/\1/p')" \
    "/system/usr/lib/$(uname -m)-linux-gnu/libatomic.so.1"
WORKDIR /app
COPY package.json package-lock.json ./
# The only optional dependency is a Node binary for developers' machines. No package of ours needs its install script.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
COPY LICENSE ./
COPY src ./src
# Whoever runs the image can read it, whatever the umask of the checkout was: OpenShift runs it as a user that is in no list.
RUN chmod -R u=rwX,go=rX /app

# The same Debian as the build's, so that the libraries fit.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /system/ /
COPY --from=build /usr/local/bin/node /nodejs/bin/node
# Our sources stay outside of node_modules: Node strips no types there.
COPY --from=build /app/package.json /app/LICENSE /app/
COPY --from=build /app/node_modules /app/node_modules
COPY --from=build /app/src /app/src

ENV NODE_ENV=production
# SIGUSR1 would open Node's debugger.
ENV NODE_OPTIONS=--disable-sigusr1
WORKDIR /app
# A number, so that runAsNonRoot can be checked.
USER 65532
EXPOSE 8080 8443 1936
# The supervisor is PID 1: it drains on SIGTERM and SIGINT, and has no children but its own to reap.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/nodejs/bin/node", "/app/src/main.ts"]
CMD ["serve"]

ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Headgate" \
      org.opencontainers.image.description="A TLS-terminating ingress router for Kubernetes and OpenShift Routes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="Headgate" \
      org.opencontainers.image.url="https://github.com/headgate/headgate" \
      org.opencontainers.image.source="https://github.com/headgate/headgate" \
      org.opencontainers.image.documentation="https://github.com/headgate/headgate/tree/main/docs" \
      org.opencontainers.image.base.name="gcr.io/distroless/cc-debian12:nonroot"
