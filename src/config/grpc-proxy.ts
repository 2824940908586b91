import { path, port } from '../schema/kind.ts';
import { setting } from '../schema/setting.ts';
import { adminAddr, commonTable } from './common.ts';

const START = 'To start';

const listening = {
  proxyServerPort: setting({
    kind: port(),
    group: START,
    help: 'port for clients, on every address of this machine',
    fallback: 50_052,
    aliases: ['port'],
    slime: true,
    inFile: false,
  }),
} as const;

/** Settings of `grpc-proxy`; all else stands in its file. */
export const grpcProxyTable = {
  proxyServerConfig: setting({
    kind: path('path of a JSON file'),
    group: START,
    help: 'the JSON file of the PI gRPC proxy; may stand without its flag',
    fallback: 'config/proxy_config.json',
    slime: true,
    inFile: false,
  }),
  ...listening,
  adminAddr: { ...adminAddr(null), inFile: false },
  logLevel: { ...commonTable.logLevel, inFile: false },
  logFormat: { ...commonTable.logFormat, inFile: false },
  drainTimeout: { ...commonTable.drainTimeout, inFile: false },
} as const;

/** Settings of `import pi`. */
export const importPiTable = {
  path: setting({ kind: path(), group: START, help: 'the JSON file to read; may stand without its flag', hint: 'name it', inFile: false }),
  ...listening,
} as const;
