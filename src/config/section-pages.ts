import { locationTable } from '../proxy/location-section.ts';
import type { Table } from '../schema/setting.ts';
import { agentUpstreamTable } from '../upstream/agents-section.ts';
import { upstreamTable } from '../upstream/section.ts';
import type { RetiredKeys } from './item.ts';
import { adminTable } from './sections/admin.ts';
import { agentsTable } from './sections/agents.ts';
import { basicTable, retiredBasicKeys } from './sections/basic.ts';
import { certificateTable } from './sections/certificate.ts';
import { notificationTable } from './sections/notification.ts';
import { pluginTable } from './sections/plugin.ts';
import { retiredServerKeys, serverTable } from './sections/server.ts';
import { storageTable } from './sections/storage.ts';

/** A section of a gateway file, for those who write about it: reference, JSON Schema, example, help. */
export interface SectionPage {
  readonly section: string;
  /** Name of an item in examples; null: the section is one table. */
  readonly item: string | null;
  /** One sentence. */
  readonly says: string;
  readonly table: Table;
  /** Keys of Pingap that are not ours. */
  readonly retired: RetiredKeys;
  /** Keys beside those of the table are allowed. */
  readonly open?: true;
}

const NONE: RetiredKeys = new Map();

/** In the order in which people meet them. An upstream has two pages: it is made of addresses or of agents. */
export const sectionPages: readonly SectionPage[] = [
  { section: 'basic', item: null, says: 'What holds for the whole process.', table: basicTable, retired: retiredBasicKeys },
  {
    section: 'servers',
    item: 'web',
    says: 'A listening socket and the locations that answer there.',
    table: serverTable,
    retired: retiredServerKeys,
  },
  {
    section: 'locations',
    item: 'api',
    says: 'Which requests go to which upstream, and what is changed on the way. The heaviest location of a server that takes a request answers it.',
    table: locationTable,
    retired: NONE,
  },
  { section: 'upstreams', item: 'api', says: 'Addresses that share the requests sent here.', table: upstreamTable, retired: NONE },
  {
    section: 'upstreams',
    item: 'gpu',
    says: 'Agents that dial in and share the requests sent here: no address is needed, and no agent gets more at once than it has slots.',
    table: agentUpstreamTable,
    retired: NONE,
  },
  { section: 'agents', item: null, says: 'Who may dial in as an agent. Where is said by `accepts` of a server.', table: agentsTable, retired: NONE },
  {
    section: 'certificates',
    item: 'example',
    says: 'Certificates for servers with `global_certificates = true`, chosen by the name that a client asks for.',
    table: certificateTable,
    retired: NONE,
  },
  {
    section: 'admins',
    item: 'alice',
    says: 'Who may log in to the console at `admin_addr`, by name, and what they may do there.',
    table: adminTable,
    retired: NONE,
  },
  {
    section: 'notifications',
    item: 'ops',
    says: 'Who is told of endpoints that fail, agents that are lost, certificates that expire and configurations that cannot be used.',
    table: notificationTable,
    retired: NONE,
  },
  {
    section: 'plugins',
    item: 'auth',
    says: 'Something that is done to the requests and answers of the locations that name it, in the order of their lists. Its further keys depend on its category.',
    table: pluginTable,
    retired: NONE,
    open: true,
  },
  {
    section: 'storages',
    item: 'timeouts',
    says: 'Pieces of configuration that several items take in with `includes = ["timeouts"]`.',
    table: storageTable,
    retired: NONE,
  },
];
