import { tomlName, type Setting } from '../schema/setting.ts';
import type { PluginDefinition } from '../proxy/plugin.ts';
import { isPlainNumber } from './json-schema.ts';
import { builtInPlugins } from './plugin-definitions.ts';
import { sectionPages, type SectionPage } from './section-pages.ts';

/** A small file that runs as it is. */
export const smallExample = `# A gateway: who asks for anything at port 8080 gets it from a service on port 3000 of this machine.
# windlass check windlass.toml    says what is wrong with this file
# windlass run -c windlass.toml   runs it; a change of the file takes effect at once
# windlass example --full         shows every key there is

[servers.web]
addr = "127.0.0.1:8080"
locations = ["api"]

[locations.api]
upstream = "api"

[upstreams.api]
addrs = ["127.0.0.1:3000"]

# Services that cannot be reached from here dial in instead: see windlass agent run --help.
# [agents]
# secret_file = "hub.secret"
#
# [upstreams.gpu]
# agents = "scope=gpu"
#
# In [servers.web]: accepts = ["native"]
`;

/** Every key there is: what it means, and its default or an example, commented out but for what makes a file that runs. */
export function fullExample(): string {
  const parts = [HEAD];
  for (const page of sectionPages) {
    parts.push(sectionText(page));
    if (page.section === 'plugins') parts.push(...builtInPlugins().map((definition) => sectionText(pluginPage(definition), definition.name)));
  }
  return `${parts.join('\n\n')}\n`;
}

const HEAD = `# Every key of a gateway file. What is commented out shows the default, or an example where nothing is the default.
# Durations: 500ms, 30s, 1h2m3s. Sizes: 64KiB = 65,536 bytes, 64kB = 64,000. Relative paths start at the folder of this file.
# \${NAME} is a variable of the environment, \${NAME:text} has a default, $\${NAME} is just that text. "" means that a key is not set.`;

/** A plugin as a section of its own. */
export function pluginPage({ name, summary, settings }: PluginDefinition): SectionPage {
  return { section: 'plugins', item: name, says: `${summary[0]!.toUpperCase()}${summary.slice(1)}.`, table: settings, retired: new Map() };
}

/** `category`: of a plugin. */
function sectionText(page: SectionPage, category?: string): string {
  const { section, item, table } = page;
  // What needs other things to be there is commented out as a whole.
  const live = LIVE.get(pageName(page));
  const lines = [`# ${page.says.replaceAll('`', '')}`, `${live === undefined ? '# ' : ''}[${section}${item === null ? '' : `.${item}`}]`];
  if (category !== undefined) lines.push(`# category = "${category}"`);
  let group = '';
  for (const [name, setting] of Object.entries(table)) {
    if (setting.inFile === false) continue;
    if (setting.group !== group) {
      group = setting.group;
      lines.push(`# -- ${group}`);
    }
    const key = tomlName(name);
    lines.push(`# ${setting.help}${setting.secret === undefined ? '' : ` (or ${key}_file)`}`);
    const value = live?.get(key);
    lines.push(value === undefined ? `# ${key} = ${exampleOf(page, key, setting)}` : `${key} = ${value}`);
  }
  if (category !== undefined) return lines.join('\n');
  if (item !== null && section !== 'storages') lines.push('# pieces of [storages] to take in', '# includes = ["timeouts"]');
  if (item !== null) lines.push('# a note for people', '# remark = "why it is here"');
  return lines.join('\n');
}

function pageName({ section, item }: SectionPage): string {
  return item === null ? section : `${section}.${item}`;
}

/** What is not commented out. */
const LIVE: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([
  ['basic', new Map()],
  [
    'servers.web',
    new Map([
      ['addr', '["127.0.0.1:8080"]'],
      ['locations', '["api"]'],
    ]),
  ],
  ['locations.api', new Map([['upstream', '"api"']])],
  ['upstreams.api', new Map([['addrs', '["127.0.0.1:3000"]']])],
]);

/** The default as it is written, or an example of a value. */
export function exampleOf(page: SectionPage, key: string, setting: Setting<unknown>): string {
  const isPlugin = page.section === 'plugins' && page.item !== 'auth';
  const example = isPlugin ? pluginExample(page.item!, key, setting) : (EXAMPLES.get(`${page.section}.${key}`) ?? EXAMPLES.get(key));
  if (example !== undefined) return example;
  const { fallback, kind } = setting;
  if (Array.isArray(fallback) && fallback.every((one) => typeof one === 'string'))
    return `[${fallback.map((one) => quotedToml(String(one))).join(', ')}]`;
  if (typeof fallback === 'boolean' || (typeof fallback === 'number' && isPlainNumber(setting))) return String(fallback);
  const text = fallback === null || fallback === undefined ? '' : kind.format(fallback);
  // Not every kind of a plugin can write what it reads.
  return quotedToml(!isPlugin || text === '' ? text : ([text, setting.fallbackText ?? ''].find((one) => canRead(setting, one)) ?? ''));
}

function canRead({ kind }: Setting<unknown>, text: string): boolean {
  try {
    kind.fromToml(text, '.');
    return text !== '';
  } catch {
    return false;
  }
}

/** What a plugin's own hint writes, where it has one. */
function pluginExample(plugin: string, key: string, { hint }: Setting<unknown>): string | undefined {
  return EXAMPLES.get(`plugins.${plugin}.${key}`) ?? (hint === undefined ? undefined : new RegExp(`\\b${key} = (.+)$`).exec(hint)?.[1]);
}

function quotedToml(text: string): string {
  return text.includes("'") || text.includes('\n') ? JSON.stringify(text) : /["\\]/.test(text) ? `'${text}'` : `"${text}"`;
}

/** Values for keys whose default is nothing. A test sees to it that every key has one that its kind takes. */
export const EXAMPLES: ReadonlyMap<string, string> = new Map([
  ['trusted_proxies', '["10.0.0.0/8", "loopback"]'],
  ['error_template', "'<h1>{{status}}</h1><p>{{content}}</p>'"],
  ['error_templates', "{ 404 = '<h1>Nothing here</h1>', 5xx = '{ \"status\": {{status}} }' }"],
  ['log_format_json', 'true'],
  ['basic.drain_timeout', '"30s"'],
  ['grace_period', '"25s"'],
  ['graceful_shutdown_timeout', '"5s"'],
  ['accepts', '["native"]'],
  ['tls_cert', '"cert.pem"'],
  ['tls_key', '"key.pem"'],
  ['tls_ca', '"ca.pem"'],
  ['tls_client_ca', '"clients.pem"'],
  ['redirect_https', 'true'],
  ['tls_client_crl', '"revoked.pem"'],
  ['tls_cipher_list', '"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"'],
  ['tls_ciphersuites', '"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"'],
  ['proxy_protocol_from', '["10.0.0.0/8"]'],
  ['access_log', '"combined"'],
  ['prometheus_metrics', '"/metrics"'],
  ['head_timeout', '"10s"'],
  ['body_idle_timeout', '"30s"'],
  ['write_idle_timeout', '"5m"'],
  ['downstream_read_timeout', '"30s"'],
  ['downstream_write_timeout', '"5m"'],
  ['host', '["example.com", "*.example.com", "~^(?P<tenant>[a-z]+)\\\\.example\\\\.org$"]'],
  ['path', '"/api/"'],
  ['methods', '["GET", "HEAD"]'],
  ['match_headers', '["X-Beta", "X-Version:2"]'],
  ['match_query', '["debug:1"]'],
  ['match_cookies', '["session"]'],
  ['locations.weight', '2000'],
  ['rewrite', "'^/api/(.*)$ /$1'"],
  ['proxy_set_headers', '["X-Tenant: $tenant", "X-Real-Host: $host"]'],
  ['proxy_add_headers', '["X-Via: windlass"]'],
  ['proxy_remove_headers', '["X-Debug"]'],
  ['set_response_headers', '["X-Frame-Options: DENY"]'],
  ['add_response_headers', '["Vary: X-Beta"]'],
  ['remove_response_headers', '["Server"]'],
  ['locations.upstream', '"api"'],
  ['locations.plugins', '["auth"]'],
  ['max_retries', '1'],
  ['max_retry_window', '"10s"'],
  ['locations.timeout', '"60s"'],
  ['addrs', '["10.0.0.1:3000 2", "10.0.0.2:3000"]'],
  ['discovery', '"dns"'],
  ['dns_server', '["10.0.0.2"]'],
  ['dns_domain', '"svc.cluster.local"'],
  ['dns_search', '["svc.cluster.local"]'],
  ['update_frequency', '"30s"'],
  ['health_check', '"http://example.com/health?check_frequency=5s&success=1&failure=2"'],
  ['sni', '"api.example.com"'],
  ['max_h2_streams', '1'],
  ['keepalive_pool_size', '128'],
  ['tcp_idle', '"30s"'],
  ['tcp_interval', '"10s"'],
  ['tcp_probe_count', '3'],
  ['tcp_user_timeout', '"30s"'],
  ['tcp_recv_buf', '"64KiB"'],
  ['upstreams.proxy_protocol', '"v2"'],
  ['backend_failure_status_code', '["500", "502", "503"]'],
  ['on_empty', '"https://example.org/start"'],
  ['otlp_endpoint', '"http://localhost:4318"'],
  ['otlp_exporter', '"http://localhost:4318"'],
  ['trace_sample', '0.01'],
  ['otlp_service', '"windlass"'],
  ['upstreams.agents', '"scope=gpu"'],
  ['upstreams.on_abort', '"cancel"'],
  ['agents.secret', '["…"]'],
  ['agents.slime_secret', '["…"]'],
  ['agents.cranker_from', '["10.0.0.0/8"]'],
  ['revoked', '["calm-otter"]'],
  ['revoked_file', '"revoked.txt"'],
  ['hub_id', '"hub-a"'],
  ['sibling', '["hub-b=https://hub-b.example.com"]'],
  ['admins.password', '"$scrypt$ln=15,r=8,p=1$K5GKMeUMfMV/51ZyuGLo3g$6BUOVPbzPZSQNJGKzO+bHsUnWjvPUqsA5G7GKcFY2PM"'],
  ['admins.role', '"read"'],
  ['notifications.url', '"https://alerts.example.com/windlass"'],
  ['notifications.secret', '"a long random text"'],
  ['notifications.events', '["endpoint_unhealthy", "agent_lost", "reload_failed"]'],
  ['notifications.queue_threshold', '100'],
  ['webhook', '"https://alerts.example.com/hook"'],
  ['webhook_notifications', '["backend_status", "reload_config_fail"]'],
  ['console_hosts', '["gateway.example.com"]'],
  ['certificates.domains', '["example.com", "*.example.com"]'],
  ['acme', '"lets_encrypt"'],
  ['acme_directory', '"https://acme.example.com/directory"'],
  ['acme_ca', '"ca.pem"'],
  ['acme_email', '"ops@example.com"'],
  ['buffer_days', '30'],
  ['acme_eab_kid', '"kid-1"'],
  ['acme_eab_hmac_key', '"c2VjcmV0"'],
  ['dns_provider', '"cf"'],
  ['dns_service_url', '"https://api.cloudflare.com?token=…"'],
  ['category', '"ip_restriction"'],
  ['module', '"./my-plugin.js"'],
  ['step', '"request"'],
  ['storages.category', '"config"'],
  ['storages.value', '\'connection_timeout = "3s"\''],
  ['storages.secret', '"text"'],
]);
