# syntax=docker/dockerfile:1
# The windlass command in a container: `docker run IMAGE hub run`, `docker run IMAGE agent run`, and so on.

FROM node:24-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
COPY ui ui
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /opt/windlass
COPY --from=build /src/package.json ./
COPY --from=build /src/node_modules node_modules
COPY --from=build /src/dist dist
COPY LICENSE README.md ./
RUN ln -s /opt/windlass/dist/cli/main.js /usr/local/bin/windlass \
 && mkdir -p /var/lib/windlass && chown node:node /var/lib/windlass
USER node
# Where an agent keeps its id. Without a volume here it has a new one after each `docker run`.
ENV XDG_STATE_HOME=/var/lib
VOLUME /var/lib/windlass
# Applications and agents of a hub.
EXPOSE 8080
# Health and metrics, of agents too. They stay on loopback unless this says otherwise.
ENV WINDLASS_ADMIN_ADDR=127.0.0.1:9080
# A hub is healthy while it serves, an agent while it is joined to a hub.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 CMD ["windlass", "healthcheck"]
# Understood from the environment, as slime's image does, among others:
#   hub:   SECRET, APP_PASSWORD      (better: SECRET_FILE, APP_PASSWORD_FILE)
#   agent: TOKEN, HUB, UPSTREAM      (better: TOKEN_FILE)
ENTRYPOINT ["windlass"]
CMD ["help"]
