import type { ConfigProblem } from '../../../../src/admin/model.ts';
import { Icon } from '../../design/icon.tsx';
import { messageOf } from '../../forms/problem-text.ts';
import { problemHref } from './config.ts';
import { configurationWords } from './words.ts';

/** What is wrong, each with the way to its line. `onShow` goes there on this page instead. */
export function ProblemList({ problems, onShow }: { problems: readonly ConfigProblem[]; onShow?: (problem: ConfigProblem) => void }) {
  const t = configurationWords();
  if (problems.length === 0) return null;
  return (
    <ul class="problems">
      {problems.map((problem, i) => {
        const place = problem.line > 0 ? `${problem.file === '' ? '' : `${problem.file}, `}${t.lineNumber(problem.line)}` : problem.file;
        return (
          <li key={i} class={`problem problem-${problem.level}`}>
            <Icon name={problem.level === 'error' ? 'error' : 'warning'} size={16} />
            <span class="grow wrap-anywhere">{messageOf(problem)}</span>
            {place !== '' &&
              (onShow === undefined ? (
                <a class="problem-place" href={problemHref(problem)}>
                  {place}
                </a>
              ) : (
                <button type="button" class="problem-place" onClick={() => onShow(problem)}>
                  {place}
                </button>
              ))}
          </li>
        );
      })}
    </ul>
  );
}

/** `2 problems, 1 warning` */
export function problemCounts(problems: readonly ConfigProblem[]): string {
  const t = configurationWords();
  const errors = problems.filter(({ level }) => level === 'error').length;
  const warnings = problems.length - errors;
  return [errors > 0 ? t.problem(errors) : '', warnings > 0 ? t.warning(warnings) : ''].filter((part) => part !== '').join(', ');
}
