// The reference everybody would write first: Node's http server, http.request and pipe. `node node-proxy.mjs ORIGIN_PORT` prints "listening PORT".
import { Agent, createServer, request as send } from 'node:http';
import { pipeline } from 'node:stream';

const agent = new Agent({ keepAlive: true, maxFreeSockets: 512 });
const originPort = Number(process.argv[2]);

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const headers = { ...request.headers };
  delete headers.connection;
  headers['x-forwarded-for'] = request.socket.remoteAddress;
  headers['x-forwarded-proto'] = 'http';
  headers.via = '1.1 node';
  const outgoing = send({ agent, host: '127.0.0.1', port: originPort, method: request.method, path: request.url, headers }, (answer) => {
    const back = { ...answer.headers };
    delete back.connection;
    delete back['keep-alive'];
    response.writeHead(answer.statusCode ?? 502, back);
    pipeline(answer, response, () => {});
  });
  outgoing.on('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end();
  });
  response.on('close', () => {
    if (!response.writableFinished) outgoing.destroy();
  });
  request.pipe(outgoing);
});
server.listen(0, '127.0.0.1', 8192, () => {
  console.log(`listening ${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`);
});
