import { useState } from 'preact/hooks';
import type { ConfigChange } from '../../../../src/admin/model.ts';
import { may } from '../../api/may.ts';
import { Button } from '../../design/button.tsx';
import { Dialog } from '../../design/dialog.tsx';
import { TextField } from '../../design/field.tsx';
import { Icon } from '../../design/icon.tsx';
import { Menu } from '../../design/menu.tsx';
import { toast } from '../../design/toast.tsx';
import { common } from '../../i18n/common.ts';
import { go } from '../../router.ts';
import { type Config, itemOf, nameProblem, subjectOf } from './config.ts';
import { Review } from './review.tsx';
import { configurationWords } from './words.ts';

/** What can be done with one item beside editing it. */
export function ItemMenu({ config, section, name }: { config: Config; section: string; name: string }) {
  const t = configurationWords();
  const [dialog, setDialog] = useState<
    'rename' | 'delete' | { readonly changes: readonly ConfigChange[]; readonly title: string; readonly goes: string } | null
  >(null);
  const item = itemOf(config.info, section, name);
  if (item === null) return null;
  const mayChange = may('admin') && config.info.fixed === '';
  const subject = subjectOf(section, name);
  return (
    <>
      <Menu
        label={t.actionsOf(name)}
        button={<Icon name="more" />}
        items={[
          { text: t.clone, icon: 'copy', disabled: !mayChange, onChoose: () => go('configuration', section, { new: '1', clone: name }) },
          { text: t.rename, icon: 'edit', disabled: !mayChange, onChoose: () => setDialog('rename') },
          { text: t.showInFile, icon: 'file', onChoose: () => go('configuration', ['files', item.file], { line: String(item.line) }) },
          ...(section === 'locations'
            ? [{ text: t.testIt, icon: 'routing' as const, onChoose: () => go('routing', [], exampleOf(item.values)) }]
            : []),
          { text: t.delete, icon: 'trash', danger: true, disabled: !mayChange, onChoose: () => setDialog('delete') },
        ]}
      />
      {dialog === 'rename' && (
        <Rename
          subject={subject}
          name={name}
          usedBy={item.usedBy}
          taken={(config.info.sections[section] ?? []).map((one) => one.name)}
          onClose={() => setDialog(null)}
          onName={(next) => setDialog({ changes: [{ section, name, values: item.values, rename: next }], title: t.renameTitle(subject), goes: next })}
        />
      )}
      {dialog === 'delete' && (
        <Dialog
          title={t.deleteTitle(subject)}
          onClose={() => setDialog(null)}
          footer={
            <>
              <Button onClick={() => setDialog(null)}>{common().cancel}</Button>
              <Button
                kind="danger"
                icon="trash"
                onClick={() => setDialog({ changes: [{ section, name, values: null }], title: t.deleteTitle(subject), goes: '' })}
              >
                {t.delete}
              </Button>
            </>
          }
        >
          <p class={item.usedBy.length > 0 ? 'note note-warn' : ''}>
            {item.usedBy.length > 0 && <Icon name="warning" />}
            <span class="note-text wrap-anywhere">{item.usedBy.length > 0 ? t.deleteUsed(item.usedBy.join(', ')) : t.deleteFree}</span>
          </p>
        </Dialog>
      )}
      {dialog !== null && typeof dialog === 'object' && (
        <Review
          title={dialog.title}
          changes={dialog.changes}
          etag={config.info.etag}
          onClose={() => setDialog(null)}
          onSaved={() => {
            const { goes } = dialog;
            setDialog(null);
            config.reload();
            go('configuration', goes === '' ? section : [section, goes]);
          }}
          onConflict={() => {
            setDialog(null);
            config.reload();
            toast({ tone: 'info', text: t.changedElsewhere });
          }}
        />
      )}
    </>
  );
}

function exampleOf(values: Readonly<Record<string, unknown>>): Record<string, string> {
  const { host, path } = values;
  const plainHost = typeof host === 'string' && /^[\w.:-]+$/.test(host) ? host : '';
  const plainPath = typeof path === 'string' && /^=?\/[\w./-]*$/.test(path) ? path.replace(/^=/, '') : '/';
  return { host: plainHost === '' ? 'example.com' : plainHost, path: plainPath };
}

function Rename({
  subject,
  name,
  usedBy,
  taken,
  onClose,
  onName,
}: {
  subject: string;
  name: string;
  usedBy: readonly string[];
  taken: readonly string[];
  onClose(): void;
  onName(name: string): void;
}) {
  const t = configurationWords();
  const [next, setNext] = useState(name);
  const wrong = next === name ? null : nameProblem(next, taken);
  return (
    <Dialog
      title={t.renameTitle(subject)}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>{common().cancel}</Button>
          <Button kind="primary" disabled={next === name || wrong !== null} onClick={() => onName(next)}>
            {t.rename}
          </Button>
        </>
      }
    >
      <div class="stack">
        <TextField
          label={t.newName}
          value={next}
          onInput={setNext}
          autoFocus
          help={t.nameHelp}
          error={wrong === null ? undefined : wrong === 'nameTaken' ? t.nameTaken(next) : t[wrong]}
        />
        {usedBy.length > 0 && <p class="soft wrap-anywhere">{t.renameText(usedBy.join(', '))}</p>}
      </div>
    </Dialog>
  );
}
