import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { common } from '../i18n/common.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { TextField } from './field.tsx';

interface Question {
  readonly title: string;
  readonly text: ComponentChildren;
  /** What the button says that does it. */
  readonly yes: string;
  readonly danger?: boolean;
  /** Asks for a reason, too. */
  readonly reason?: string;
}

interface Asked extends Question {
  answer(reason: string | null): void;
}

const asked = signal<Asked | null>(null);

/** Asks before something that cannot be undone. @returns null when it is not to be done, else the reason ('' where none was asked for) */
export function confirm(question: Question): Promise<string | null> {
  return new Promise((resolve) => {
    asked.peek()?.answer(null);
    asked.value = {
      ...question,
      answer: (reason) => {
        asked.value = null;
        resolve(reason);
      },
    };
  });
}

export function Confirmation() {
  const question = asked.value;
  return question === null ? null : <Ask key={question.title} question={question} />;
}

function Ask({ question }: { question: Asked }) {
  const [reason, setReason] = useState('');
  return (
    <Dialog
      title={question.title}
      onClose={() => question.answer(null)}
      footer={
        <>
          <Button onClick={() => question.answer(null)}>{common().cancel}</Button>
          <Button kind={question.danger === true ? 'danger' : 'primary'} onClick={() => question.answer(reason)}>
            {question.yes}
          </Button>
        </>
      }
    >
      <div class="stack">
        <div class="wrap-anywhere">{question.text}</div>
        {question.reason !== undefined && <TextField label={question.reason} value={reason} onInput={setReason} maxLength={200} />}
      </div>
    </Dialog>
  );
}
