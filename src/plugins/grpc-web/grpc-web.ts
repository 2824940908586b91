import { GRPC_TYPE, GRPC_WEB_TYPE, isGrpcType, readGrpcWebType } from '../../http/grpc.ts';
import type { HeaderList } from '../../http/head.ts';
import { definePlugin, type PluginResponse, slot } from '../../proxy/plugin.ts';
import { AnswerBody } from './answer-body.ts';
import { TextRequest } from './request-body.ts';

/** How the client of a call wants its answer. */
interface Wanted {
  readonly isText: boolean;
  readonly suffix: string;
}

/** Lets pages in browsers call gRPC services: their requests become ones of gRPC, and the answers what a browser can read. */
export const grpcWebPlugin = definePlugin({
  name: 'grpc_web',
  summary: 'lets browsers call gRPC services (gRPC-Web), in binary and in base64',
  settings: {},
  create(_, { name }) {
    const wanted = slot<Wanted>(`grpc_web ${name}`);
    return {
      changesRequests: true,
      request(exchange) {
        const { request } = exchange;
        const type = readGrpcWebType(request.header('content-type') ?? '');
        if (type === null || request.method !== 'POST') return undefined;
        const { isText, suffix } = type;
        exchange.set(wanted, { isText: wantsText(request.header('accept') ?? '', isText), suffix });
        request.setHeader('content-type', GRPC_TYPE + suffix);
        // Neither is for the service: it would answer with other types, or pack what has a packing of its own.
        request.removeHeader('accept');
        request.removeHeader('accept-encoding');
        request.removeHeader('x-grpc-web');
        if (isText) request.transform(new TextRequest());
        return exchange.becomeGrpc();
      },
      response(exchange) {
        const call = exchange.get(wanted);
        const response = exchange.response!;
        const type = response.header('content-type') ?? '';
        // What is not gRPC, such as the page of a proxy behind us, tells by its status what it is.
        if (call === undefined || !isGrpcType(type)) return;
        const behind = type.slice(GRPC_TYPE.length);
        response.setHeader('content-type', `${GRPC_WEB_TYPE}${call.isText ? '-text' : ''}${behind === '' ? call.suffix : behind}`);
        response.removeHeader('trailer');
        response.giveBody(new AnswerBody(call.isText, takeStatus(response)));
      },
    };
  },
});

/** What the client accepts, else as it has asked. */
function wantsText(accept: string, isText: boolean): boolean {
  if (/application\/grpc-web-text/i.test(accept)) return true;
  return /application\/grpc-web/i.test(accept) ? false : isText;
}

const OF_STATUS = ['grpc-status', 'grpc-message', 'grpc-status-details-bin', 'grpc-retry-pushback-ms'];

/** An answer that is all in its head has the status there, where pages may read it only by leave (CORS): it moves into the body. */
function takeStatus(response: PluginResponse): HeaderList {
  const fields: string[] = [];
  for (const name of OF_STATUS) {
    const value = response.header(name);
    if (value === undefined) continue;
    fields.push(name, value);
    response.removeHeader(name);
  }
  return fields;
}
