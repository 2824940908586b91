import { shadowed } from '../proxy/shadowed.ts';
import { formatAddress, isLoopback } from '../schema/address.ts';
import { formatBytes } from '../schema/bytes.ts';
import { Wrong } from '../schema/wrong.ts';
import { tomlName, type Setting } from '../schema/setting.ts';
import type { GatewaySettings } from './gateway.ts';
import { didYouMean } from './names.ts';
import type { PluginItem } from './plugins.ts';
import type { Report } from './report.ts';
import { quoted } from './resolve.ts';
import { checkPair } from './sections/certificate.ts';
import { clash, type ServerSettings } from './sections/server.ts';
import type { Slices } from './slices.ts';
import { placeText } from './text-file.ts';
import type { Entry, Item, Tree } from './tree.ts';

/** What no item shows by itself: names that lead nowhere, addresses taken twice, things that nobody uses. */
export async function crossCheck(settings: GatewaySettings, tree: Tree, report: Report, slices: Slices): Promise<void> {
  // References are looked at in the files, so that an item with another error in it tells of them, too.
  const used = new Set<string>();
  for (const item of tree.named.get('servers')!.values()) {
    await slices.pause();
    for (const name of checkReferences(item, tree, report)) used.add(name);
  }
  for (const [name, server] of settings.servers) {
    await slices.pause();
    checkServer(server, itemOf(tree, 'servers', name), settings, tree, report);
    checkShadows(server, settings, tree, report);
    checkLimits(server, settings, tree, report);
  }
  checkAddresses(settings, tree, report);
  for (const [name, item] of tree.named.get('locations')!) {
    await slices.pause();
    if (!used.has(name)) report.warn(item.place, item.subject, 'is used by no server; name it in locations of one');
    checkLocation(item, tree, report);
  }
  checkAdminTargets(settings, tree, report);
  checkCertificates(settings, tree, report);
  checkOrders(settings, tree, report);
  for (const plugin of settings.plugins.values()) checkPlugin(plugin, tree, report);
  checkAgents(settings, tree, report);
  checkConsole(settings, tree, report);
  if (settings.servers.size === 0 && !report.failed) {
    const [any] = tree.single.values();
    report.error(any?.place ?? null, 'servers', 'are missing; write [servers.web] with addr = "0.0.0.0:8080" and its locations');
  }
}

function itemOf(tree: Tree, section: string, name: string): Item {
  return tree.named.get(section)!.get(name)!;
}

/** Names in a list as the file has it, also when something else is wrong with the item. */
function namesIn(entry: Entry | undefined): readonly string[] {
  if (entry === undefined || entry.broken === true) return [];
  if (typeof entry.value === 'string') return entry.value.split(',').map((name) => name.trim());
  return Array.isArray(entry.value) ? entry.value.map(String) : [];
}

/** @returns the names of the locations that a server has */
function checkReferences(item: Item, tree: Tree, report: Report): ReadonlySet<string> {
  const locations = tree.named.get('locations')!;
  const named = item.entries.get('locations');
  const seen = new Set<string>();
  for (const name of namesIn(named)) {
    const subject = `${item.subject}.locations`;
    if (!locations.has(name)) {
      report.error(
        named?.place ?? item.place,
        subject,
        `${quoted(name)} is no location; ${didYouMean(name, locations.keys(), `write [locations.${name}]`)}`,
      );
    } else if (seen.has(name)) {
      report.error(named?.place ?? item.place, subject, `${quoted(name)} is named twice; name it once`);
    }
    seen.add(name);
  }
  return seen;
}

/** Names that a plugin's settings hold. */
function checkPlugin({ name, definition, values }: PluginItem, tree: Tree, report: Report): void {
  for (const [key, { refersTo }] of Object.entries<Setting<unknown>>(definition.settings)) {
    if (refersTo === undefined) continue;
    const value: unknown = values[key];
    const names: readonly unknown[] = value instanceof Map ? [...value.values()] : [value];
    const named = names.find((one) => typeof one === 'string' && !tree.named.get(refersTo)!.has(one));
    if (typeof named !== 'string') continue;
    const item = itemOf(tree, 'plugins', name);
    const entry = item.entries.get(tomlName(key));
    report.error(
      entry?.place ?? item.place,
      `${item.subject}.${tomlName(key)}`,
      `${quoted(named)} is no upstream; ${didYouMean(named, tree.named.get(refersTo)!.keys(), `write [${refersTo}.${named}]`)}`,
    );
  }
}

function checkServer(server: ServerSettings, item: Item, settings: GatewaySettings, tree: Tree, report: Report): void {
  const redirect = item.entries.get('redirect_https');
  if (redirect !== undefined && server.redirectHttps !== null && server.tls !== null)
    report.warn(redirect.place, `${item.subject}.${redirect.key}`, 'has no effect on a server with TLS; write it in the one without');
  if (server.locations.length === 0 && server.accepts.length === 0 && server.redirectHttps === null)
    report.warn(item.place, item.subject, `has no locations: every request gets ${server.noMatchStatus}; name some in locations`);
  const cert = item.entries.get('tls_cert');
  const key = item.entries.get('tls_key');
  const global = item.entries.get('global_certificates');
  const has = (one: Entry | undefined): one is Entry => one !== undefined;
  if (has(cert) !== has(key)) {
    const one = (cert ?? key)!;
    report.error(
      one.place,
      `${item.subject}.${one.key}`,
      `stands alone; give ${has(cert) ? 'tls_key' : 'tls_cert'} as well (or neither, for plain HTTP)`,
    );
  } else if (has(cert) && global?.value === true) {
    report.error(global.place, `${item.subject}.${global.key}`, 'and tls_cert are both given; keep one');
  }
  const selfSigned = item.entries.get('self_signed');
  if (has(cert) && selfSigned?.value === true)
    report.error(selfSigned.place, `${item.subject}.${selfSigned.key}`, 'and tls_cert are both given; keep one');
  const own = server.tls?.own ?? null;
  if (own !== null) {
    try {
      checkPair(own.cert, own.key);
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      report.error(key?.place ?? item.place, `${item.subject}.tls_key`, `${error.message}; ${error.fix}`);
    }
  }
  if (
    server.tls !== null &&
    server.tls.own === null &&
    server.tls.global &&
    global !== undefined &&
    settings.certificates.size === 0 &&
    tree.named.get('certificates')!.size === 0
  )
    report.error(
      global.place,
      `${item.subject}.${global.key}`,
      'is true, but there are no certificates; write [certificates.NAME] with tls_cert and tls_key',
    );
  if (server.tls !== null && server.tls.minVersion > server.tls.maxVersion) {
    const min = item.entries.get('tls_min_version') ?? item.entries.get('tls_max_version');
    report.error(min?.place ?? item.place, `${item.subject}.${min?.key ?? ''}`, 'is newer than tls_max_version; exchange them');
  }
  checkClients(server, item, report);
  if (server.proxyProtocol === 'on' && server.proxyProtocolFrom.empty) {
    const entry = item.entries.get('proxy_protocol');
    report.error(
      entry?.place ?? item.place,
      `${item.subject}.proxy_protocol`,
      'is on, but nobody may send it; name the load balancers in proxy_protocol_from, such as ["10.0.0.0/8"]',
    );
  }
}

/** Who believes that clients must show certificates must not be wrong. */
function checkClients({ tls }: ServerSettings, item: Item, report: Report): void {
  const ca = item.entries.get('tls_client_ca');
  if (ca !== undefined && ca.broken !== true && tls === null)
    report.error(ca.place, `${item.subject}.tls_client_ca`, 'asks for certificates, but without TLS nobody can show one; give tls_cert and tls_key');
  for (const key of ['tls_client_auth', 'tls_client_crl']) {
    const entry = item.entries.get(key);
    if (ca !== undefined || entry === undefined) continue;
    report.error(entry.place, `${item.subject}.${key}`, 'stands alone; give tls_client_ca, the authorities of the clients');
  }
}

/** Locations that no request can reach. */
function checkShadows(server: ServerSettings, settings: GatewaySettings, tree: Tree, report: Report): void {
  const rules = [...new Set(server.locations)].flatMap((name) => settings.locations.get(name)?.rule ?? []);
  for (const { rule, by } of shadowed(rules)) {
    const item = itemOf(tree, 'locations', rule.name);
    const others = by.map((other) => other.name).join(', ');
    report.warn(
      item.place,
      item.subject,
      `never answers in servers.${server.name}: ${others} takes all of its requests first; give it a larger weight, or take it out`,
    );
  }
}

/** Limits that another one comes before. */
function checkLimits(server: ServerSettings, settings: GatewaySettings, tree: Tree, report: Report): void {
  const { bodyBytes } = server.limits;
  if (bodyBytes === 0) return;
  for (const name of server.locations) {
    const size = settings.locations.get(name)?.settings.clientMaxBodySize ?? 0;
    if (size <= bodyBytes) continue;
    const item = itemOf(tree, 'locations', name);
    const why = `is never reached in servers.${server.name}: its max_body is ${formatBytes(bodyBytes)}; raise that`;
    report.warn(item.entries.get('client_max_body_size')?.place ?? item.place, `${item.subject}.client_max_body_size`, why);
  }
}

/** Every address belongs to one server. */
function checkAddresses(settings: GatewaySettings, tree: Tree, report: Report): void {
  const taken: { address: ServerSettings['addresses'][number]; item: Item }[] = [];
  for (const [name, server] of settings.servers) {
    const item = itemOf(tree, 'servers', name);
    for (const address of server.addresses) {
      const place = item.entries.get('addr')?.place ?? item.place;
      const other = taken.find((one) => clash(one.address, address));
      if (other !== undefined) {
        const whose = other.item === item ? 'this server' : other.item.subject;
        report.error(
          place,
          `${item.subject}.addr`,
          `${quoted(formatAddress(address))} is taken already: ${whose} listens on ${formatAddress(other.address)} (${placeText(other.item.entries.get('addr')?.place ?? other.item.place)}); choose another port or address`,
        );
      }
      taken.push({ address, item });
    }
    const admin = settings.basic.adminAddr;
    const clashing = admin === null ? undefined : server.addresses.find((address) => clash(address, admin));
    if (admin !== null && clashing !== undefined) {
      report.error(
        item.entries.get('addr')?.place ?? item.place,
        `${item.subject}.addr`,
        `${quoted(formatAddress(clashing))} is the address of admin_addr; choose another port here or there`,
      );
    }
  }
}

function checkLocation(item: Item, tree: Tree, report: Report): void {
  const upstreams = tree.named.get('upstreams')!;
  const to = item.entries.get('upstream');
  const entry = item.entries.get('plugins');
  const named = namesIn(entry);
  if (to === undefined) {
    if (named.length === 0) report.error(item.place, item.subject, 'needs upstream; name one of [upstreams]');
  } else if (typeof to.value === 'string' && to.broken !== true) {
    const subject = `${item.subject}.${to.key}`;
    if (!to.value.startsWith('$') && !upstreams.has(to.value)) {
      const fix = didYouMean(to.value, upstreams.keys(), `write [upstreams.${to.value}]`);
      report.error(to.place, subject, `${quoted(to.value)} is no upstream; ${fix}`);
    } else if (to.value.startsWith('$') && upstreams.size === 0) {
      report.error(to.place, subject, `${quoted(to.value)} names no upstream whatever is captured: there are none; write [upstreams.NAME]`);
    }
  }
  const plugins = tree.named.get('plugins')!;
  for (const name of named) {
    const subject = `${item.subject}.${entry?.key ?? 'plugins'}`;
    if (!plugins.has(name))
      report.error(
        entry?.place ?? item.place,
        subject,
        `${quoted(name)} is no plugin; ${didYouMean(name, plugins.keys(), `write [plugins.${name}]`)}`,
      );
  }
}

/** A certificate that is ordered is proven at port 80, and needs a server that shows it. */
function checkOrders({ certificates, servers }: GatewaySettings, tree: Tree, report: Report): void {
  const first = [...certificates.values()].find(({ of }) => of === 'order');
  // With servers that have errors there would be more to say than is true.
  if (first === undefined || tree.named.get('servers')!.size !== servers.size) return;
  const item = itemOf(tree, 'certificates', first.name);
  const entry = item.entries.get('acme') ?? item.entries.get('acme_directory');
  const place = entry?.place ?? item.place;
  const subject = `${item.subject}.${entry?.key ?? ''}`;
  const all = [...servers.values()];
  if (!all.some(({ tls }) => tls?.global === true))
    report.warn(place, subject, 'is ordered for nobody; write global_certificates = true in the server that is to show it');
  if (!all.some(({ tls, addresses }) => tls === null && addresses.some(({ port }) => port === 80)))
    report.warn(
      place,
      subject,
      'is proven at port 80 of its domains, and no server listens there without TLS; write one with addr = "0.0.0.0:80", unless something in front passes port 80 on to another',
    );
}

/** A name asks for one certificate. */
function checkCertificates({ certificates }: GatewaySettings, tree: Tree, report: Report): void {
  const owners = new Map<string, string>();
  let standard: string | null = null;
  for (const { name, domains, isDefault } of certificates.values()) {
    const item = itemOf(tree, 'certificates', name);
    for (const domain of domains) {
      const owner = owners.get(domain);
      const place = item.entries.get('domains')?.place ?? item.place;
      if (owner === undefined) owners.set(domain, name);
      else report.warn(place, `${item.subject}.domains`, `${quoted(domain)} is never asked for here: certificates.${owner} has it and stands first`);
    }
    if (!isDefault) continue;
    const place = item.entries.get('is_default')?.place ?? item.place;
    if (standard === null) standard = name;
    else report.error(place, `${item.subject}.is_default`, `and that of certificates.${standard} are both true; keep one`);
  }
}

/** What is for operators is not to be had through a location (threat row 31). */
function checkAdminTargets({ basic, upstreams }: GatewaySettings, tree: Tree, report: Report): void {
  const admin = basic.adminAddr;
  if (admin === null || admin.port === 0) return;
  const isHere = (host: string): boolean =>
    host === admin.host || (isLoopback(host) && (isLoopback(admin.host) || /^(?:0\.0\.0\.0|::)$/.test(admin.host)));
  for (const [name, upstream] of upstreams) {
    if (upstream.of !== 'addresses') continue;
    const found = upstream.settings.addrs.find(({ host, port }) => port === admin.port && isHere(host));
    if (found === undefined) continue;
    const item = itemOf(tree, 'upstreams', name);
    const shown = quoted(formatAddress({ host: found.host, port: found.port }));
    const fix = 'which is for operators alone; name another address, or change admin_addr';
    report.error(item.entries.get('addrs')?.place ?? item.place, `${item.subject}.addrs`, `${shown} is admin_addr of this gateway, ${fix}`);
  }
}

/** What changes everything is not to be had without a password by whoever reaches it. */
function checkConsole({ basic }: GatewaySettings, tree: Tree, report: Report): void {
  const { adminAddr, console } = basic;
  if (!console || adminAddr === null || isLoopback(adminAddr.host) || tree.named.get('admins')!.size > 0) return;
  const item = tree.single.get('basic');
  const entry = item?.entries.get('admin_addr');
  const fix = 'write [admins.NAME] with role and password (windlass hash-password makes it), or console = false for the open pages alone';
  report.error(
    entry?.place ?? item?.place ?? null,
    `basic.${entry?.key ?? 'admin_addr'}`,
    `${quoted(formatAddress(adminAddr))} lets other machines ask for the console, and nobody has a password for it; ${fix}`,
  );
}

function checkAgents(settings: GatewaySettings, tree: Tree, report: Report): void {
  const accepting = [...settings.servers.values()].filter(({ accepts }) => accepts.length > 0);
  const hasAgents = tree.single.has('agents');
  for (const server of accepting) {
    if (hasAgents) break;
    const item = itemOf(tree, 'servers', server.name);
    const entry = item.entries.get('accepts');
    report.error(
      entry?.place ?? item.place,
      `${item.subject}.accepts`,
      'lets agents dial in, but there is no [agents]; write [agents] with secret_file = "hub.secret"',
    );
  }
  for (const server of settings.agents?.requireCertificate === true ? accepting : []) {
    if (server.tls !== null && server.tls.clients !== null) continue;
    const { place, key } = tree.single.get('agents')!.entries.get('require_certificate')!;
    const fix = 'give it tls_cert, tls_key and tls_client_ca, the authorities that sign the certificates of agents';
    report.error(place, `agents.${key}`, `is true, but servers.${server.name}, which accepts agents, asks for none; ${fix}`);
  }
  for (const server of settings.agents?.crankerAuth === 'certificate' ? accepting.filter(({ accepts }) => accepts.includes('cranker')) : []) {
    if (server.tls !== null && server.tls.clients !== null) continue;
    const { place, key } = tree.single.get('agents')!.entries.get('cranker_auth')!;
    const fix = 'give it tls_cert, tls_key and tls_client_ca, the authorities that sign the certificates of connectors';
    report.error(place, `agents.${key}`, `is "certificate", but servers.${server.name}, which accepts connectors, asks for none; ${fix}`);
  }
  if (hasAgents && accepting.length === 0 && tree.named.get('servers')!.size === settings.servers.size) {
    const { place } = tree.single.get('agents')!;
    report.warn(place, 'agents', 'cannot dial in: no server accepts them; write accepts = ["native"] in one of [servers]');
  }
  for (const [name, upstream] of settings.upstreams) {
    if (upstream.of !== 'agents') continue;
    const item = itemOf(tree, 'upstreams', name);
    const place = item.entries.get('agents')?.place ?? item.place;
    if (!hasAgents)
      report.error(
        place,
        `${item.subject}.agents`,
        'needs agents that dial in, but there is no [agents]; write [agents] with secret_file = "hub.secret", and accepts = ["native"] in a server',
      );
    else if (accepting.length === 0 && tree.named.get('servers')!.size === settings.servers.size)
      report.error(
        place,
        `${item.subject}.agents`,
        'needs agents that dial in, but no server accepts them; write accepts = ["native"] in one of [servers]',
      );
  }
}
