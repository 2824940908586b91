// The facts without which no figure means anything.
import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

/** @returns {[string, string][]} */
export function machineFacts() {
  return [
    ['date', new Date().toISOString().slice(0, 16).replace('T', ' ') + ' UTC'],
    ['cores', `${availableParallelism()} x ${cpus()[0]?.model.trim() ?? 'unknown'}`],
    ['memory', `${(totalmem() / 1024 ** 3).toFixed(0)} GiB`],
    ['kernel', `${process.platform} ${release()}`],
    ['node', process.version],
    ['nginx', version('nginx', ['-v'], /nginx\/(\S+)/)],
    ['wrk', version('wrk', ['--version'], /wrk (\S+)/)],
    ['commit', version('git', ['describe', '--always', '--dirty'], /^([0-9a-f]{7,}\S*|v\d\S*)$/m)],
    [
      'load average at start',
      loadavg()
        .map((value) => value.toFixed(2))
        .join(' '),
    ],
    ['open files allowed', String(openFilesLimit())],
  ];
}

/** How many descriptors a child process may have: Node raises its own soft limit to the hard one, and children inherit it. */
export function openFilesLimit() {
  const text = spawnSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).stdout?.trim();
  return text === 'unlimited' ? Infinity : Number(text ?? 1024);
}

/** @param {string} command @param {string[]} args @param {RegExp} pattern */
function version(command, args, pattern) {
  const ran = spawnSync(command, args, { encoding: 'utf8', cwd: import.meta.dirname });
  if (ran.error !== undefined) return 'absent';
  return pattern.exec(`${ran.stdout}${ran.stderr}`)?.[1] ?? 'unknown';
}
