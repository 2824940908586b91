/** A command as shells complete it. */
export interface Completed {
  readonly words: readonly string[];
  readonly summary: string;
  readonly flags: readonly CompletedFlag[];
}

export interface CompletedFlag {
  /** Without dashes. */
  readonly name: string;
  readonly help: string;
  /** What may follow; empty = anything. */
  readonly choices: readonly string[];
  /** Nothing follows it. */
  readonly isAlone: boolean;
}

/** The whole script of a shell. */
export function completionScript(shell: 'bash' | 'zsh' | 'fish', commands: readonly Completed[]): string {
  if (shell === 'fish') return fishScript(commands);
  // zsh reads what is made for bash.
  return shell === 'bash' ? bashScript(commands) : `autoload -U +X bashcompinit && bashcompinit\n${bashScript(commands)}`;
}

function bashScript(commands: readonly Completed[]): string {
  const paths = new Map<string, string[]>();
  for (const { words } of commands) {
    words.forEach((word, i) => {
      const before = words.slice(0, i).join(' ');
      const next = paths.get(before) ?? [];
      if (!next.includes(word)) paths.set(before, [...next, word]);
    });
  }
  paths.set('', [...paths.get('')!, 'help']);
  const subs = [...paths].map(([path, words]) => `    ${quoted(path)}) subs=${quoted(words.join(' '))} ;;`);
  const flags = commands.map(
    ({ words, flags: all }) => `    ${quoted(words.join(' '))}) flags=${quoted(all.map(({ name }) => `--${name}`).join(' '))} ;;`,
  );
  const values = commands.flatMap(({ words, flags: all }) =>
    all
      .filter(({ choices }) => choices.length > 0)
      .map(({ name, choices }) => `    ${quoted(`${words.join(' ')} --${name}`)}) values=${quoted(choices.join(' '))} ;;`),
  );
  return `# windlass: completion for bash. To have it: source <(windlass completion bash)
_windlass() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" path='' word i subs='' flags='' values=''
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    case "$word" in -*) break ;; esac
    path="\${path:+$path }$word"
  done
  case "$path" in help) path='' ;; 'help '*) path="\${path#help }" ;; esac
  case "$path" in
${subs.join('\n')}
  esac
  case "$path" in
${flags.join('\n')}
  esac
  case "$path $prev" in
${values.join('\n')}
  esac
  COMPREPLY=()
  if [[ -n $values ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$cur"))
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n $subs && $prev != -* ]]; then
    COMPREPLY=($(compgen -W "$subs" -- "$cur"))
  fi
}
complete -o default -F _windlass windlass
`;
}

function fishScript(commands: readonly Completed[]): string {
  const lines = [
    '# windlass: completion for fish. To have it: windlass completion fish > ~/.config/fish/completions/windlass.fish',
    'function __windlass_at',
    "    set -l words (commandline -opc | string match -v -- '-*')",
    '    test "$words[2..-1]" = "$argv"',
    'end',
    'function __windlass_in',
    "    set -l words (commandline -opc | string match -v -- '-*')",
    '    set -l count (count $argv)',
    '    test (count $words) -gt $count; and test "$words[2..(math $count + 1)]" = "$argv"',
    'end',
  ];
  const seen = new Set<string>();
  for (const { words, summary } of commands) {
    for (let i = 0; i < words.length; i++) {
      const key = words.slice(0, i + 1).join(' ');
      if (seen.has(key)) continue;
      seen.add(key);
      const says = i === words.length - 1 ? ` -d ${quoted(summary)}` : '';
      lines.push(`complete -c windlass -f -n ${quoted(['__windlass_at', ...words.slice(0, i)].join(' '))} -a ${quoted(words[i]!)}${says}`);
    }
  }
  for (const { words, flags } of commands) {
    for (const { name, help, choices, isAlone } of flags) {
      const value = choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : isAlone ? '' : ' -r';
      lines.push(`complete -c windlass -n ${quoted(`__windlass_in ${words.join(' ')}`)} -l ${name}${value} -d ${quoted(help)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** For all three of them: help may have quotes in it. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '').replaceAll("'", '’')}'`;
}
