/** A key of Pingap's files. */
export interface PingapKey {
  /** What it was called in April 2024, when that was something else. */
  readonly old?: string;
  /** Gone since April 2024. */
  readonly gone?: true;
}

/** Every key of Pingap's files by section, of April 2024 and of August 2026 (0.13.9). Reference, guide and tests go by it. */
export const pingapKeys: ReadonlyMap<string, ReadonlyMap<string, PingapKey>> = new Map([
  [
    'basic',
    keys(
      'name error_template pid_file upgrade_sock error_log user group threads work_stealing listener_tasks_per_fd grace_period graceful_shutdown_timeout',
      'upstream_keepalive_pool_size trusted_proxies webhook webhook_type webhook_notifications log_level log_buffered_size log_format_json',
      'log_compress_algorithm log_compress_level log_compress_days_ago log_compress_time_point_hour sentry pyroscope auto_restart_check_interval',
    ),
  ],
  [
    'servers',
    new Map<string, PingapKey>([
      ...keys(
        'addr locations access_log threads global_certificates enabled_h2 tls_cipher_list tls_ciphersuites tls_min_version tls_max_version',
        'tcp_idle tcp_interval tcp_probe_count tcp_user_timeout tcp_fastopen reuse_port downstream_read_timeout downstream_write_timeout',
        'prometheus_metrics otlp_exporter modules enable_server_timing includes remark',
      ),
      ['tls_cert', { gone: true }],
      ['tls_key', { gone: true }],
      ['lets_encrypt', { gone: true }],
    ]),
  ],
  [
    'locations',
    new Map<string, PingapKey>([
      ...keys(
        'upstream path host match_headers match_query match_cookies proxy_add_headers rewrite weight client_max_body_size max_processing',
        'enable_reverse_proxy_headers max_retries max_retry_window grpc_web includes remark',
      ),
      ['proxy_set_headers', { old: 'proxy_headers' }],
      ['plugins', { old: 'proxy_plugins' }],
      ['set_response_headers', { old: 'headers', gone: true }],
    ]),
  ],
  [
    'upstreams',
    keys(
      'addrs discovery dns_server dns_domain dns_search update_frequency algo sni verify_cert health_check ipv4_only alpn max_h2_streams',
      'connection_timeout total_connection_timeout read_timeout write_timeout idle_timeout tcp_idle tcp_interval tcp_probe_count tcp_user_timeout',
      'tcp_recv_buf tcp_fast_open enable_tracer enable_backend_stats backend_failure_status_code backend_stats_interval',
      'circuit_break_max_consecutive_failures circuit_break_max_failure_percent circuit_break_min_requests_threshold',
      'circuit_break_half_open_consecutive_success_threshold circuit_break_open_duration includes remark',
    ),
  ],
  ['plugins', keys('category step remark')],
  ['certificates', keys('domains tls_cert tls_key is_default is_ca acme dns_challenge dns_provider dns_service_url buffer_days remark')],
  ['storages', keys('category value secret remark')],
]);

function keys(...lines: readonly string[]): Map<string, PingapKey> {
  return new Map(lines.flatMap((line) => line.split(' ')).map((key) => [key, {}]));
}
