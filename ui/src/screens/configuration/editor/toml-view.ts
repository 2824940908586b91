import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  type CompletionContext,
  completionKeymap,
  type CompletionResult,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, indentOnInput, StreamLanguage, syntaxHighlighting } from '@codemirror/language';
import { toml } from '@codemirror/legacy-modes/mode/toml';
import { type Diagnostic, lintGutter, lintKeymap, setDiagnostics } from '@codemirror/lint';
import { highlightSelectionMatches, search, searchKeymap } from '@codemirror/search';
import { Compartment, EditorState, type Text } from '@codemirror/state';
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  hoverTooltip,
  keymap,
  lineNumbers,
  rectangularSelection,
} from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { ConfigProblem } from '../../../../../src/admin/model.ts';
import { messageOf } from '../../../forms/problem-text.ts';
import { meaningOf, suggestions, type Vocabulary } from './completion.ts';
import { tomlPlace } from './toml-place.ts';

export interface TomlViewOptions {
  /** Where it goes; its styles go into a shadow of this element, so that the page's policy about styles holds. */
  readonly parent: HTMLElement;
  readonly text: string;
  readonly label: string;
  readonly readOnly: boolean;
  vocabulary(): Vocabulary | null;
  changed(text: string): void;
  /** Mod-S. */
  save(): void;
}

/** An editor of one TOML text. Made once per text; whoever makes it ends it. */
export class TomlView {
  readonly #view: EditorView;
  readonly #readOnly = new Compartment();

  constructor(options: TomlViewOptions) {
    const root = options.parent.shadowRoot ?? options.parent.attachShadow({ mode: 'open' });
    this.#view = new EditorView({
      root,
      parent: root as unknown as Element,
      state: EditorState.create({
        doc: options.text,
        extensions: [
          lineNumbers(),
          highlightActiveLineGutter(),
          highlightActiveLine(),
          history(),
          drawSelection(),
          rectangularSelection(),
          indentOnInput(),
          bracketMatching(),
          closeBrackets(),
          highlightSelectionMatches(),
          search({ top: true }),
          lintGutter(),
          StreamLanguage.define(toml),
          syntaxHighlighting(COLOURS),
          LOOK,
          autocompletion({ override: [(context) => completions(context, options.vocabulary())], icons: false }),
          hoverTooltip((view, at) => hover(view, at, options.vocabulary())),
          keymap.of([
            { key: 'Mod-s', preventDefault: true, run: () => (options.save(), true) },
            ...closeBracketsKeymap,
            ...defaultKeymap,
            ...searchKeymap,
            ...historyKeymap,
            ...completionKeymap,
            ...lintKeymap,
            // Escape and then Tab leaves the editor, as everywhere with CodeMirror.
            indentWithTab,
          ]),
          this.#readOnly.of(EditorState.readOnly.of(options.readOnly)),
          EditorView.contentAttributes.of({ 'aria-label': options.label, spellcheck: 'false', autocorrect: 'off', autocapitalize: 'off' }),
          EditorView.updateListener.of((update) => {
            if (update.docChanged) options.changed(update.state.doc.toString());
          }),
        ],
      }),
    });
  }

  /** Shows what is wrong, at its line. */
  problems(of: readonly ConfigProblem[]): void {
    const { doc } = this.#view.state;
    const found = of.filter(({ line }) => line > 0).map((problem) => diagnosticOf(doc, problem));
    this.#view.dispatch(
      setDiagnostics(
        this.#view.state,
        found.toSorted((a, b) => a.from - b.from),
      ),
    );
  }

  /** Another text in place of this one, as one step that can be undone. */
  replace(text: string): void {
    if (text === this.#view.state.doc.toString()) return;
    this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: text } });
  }

  /** Goes to a line and column, from 1. */
  show(line: number, column = 1): void {
    const { doc } = this.#view.state;
    const of = doc.line(Math.min(Math.max(line, 1), doc.lines));
    const anchor = Math.min(of.from + Math.max(column - 1, 0), of.to);
    this.#view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: 'center' }) });
    this.#view.focus();
  }

  readOnly(is: boolean): void {
    this.#view.dispatch({ effects: this.#readOnly.reconfigure(EditorState.readOnly.of(is)) });
  }

  end(): void {
    this.#view.destroy();
  }
}

/** From the place to the end of what stands there. */
function diagnosticOf(doc: Text, problem: ConfigProblem): Diagnostic {
  const { line, column, level } = problem;
  const message = messageOf(problem);
  const of = doc.line(Math.min(line, doc.lines));
  const from = Math.min(of.from + Math.max(column - 1, 0), of.to);
  const rest = of.text.slice(from - of.from);
  const word = /^(?:"(?:[^"\\]|\\.)*"|[^\s=#]+)/.exec(rest)?.[0].length ?? 0;
  const start = word === 0 ? of.from + (/^\s*/.exec(of.text)?.[0].length ?? 0) : from;
  return { from: Math.min(start, of.to), to: word === 0 ? of.to : from + word, severity: level, message };
}

function completions(context: CompletionContext, vocabulary: Vocabulary | null): CompletionResult | null {
  if (vocabulary === null) return null;
  const place = tomlPlace(context.state.doc.toString(), context.pos);
  const isAsked =
    context.explicit || place.from < context.pos || place.at === 'header' || (place.at === 'value' && context.matchBefore(/["[=,]\s*$/) !== null);
  if (!isAsked) return null;
  const found = suggestions(place, vocabulary);
  if (found.length === 0) return null;
  return {
    from: place.from,
    validFor: /^[\w.-]*$/,
    options: found.map(({ label, insert, detail, info, kind }) => ({
      label,
      ...(detail === '' ? {} : { detail }),
      ...(info === '' ? {} : { info }),
      type: kind,
      apply: (view, _completion, from, to) => {
        // Between the quotes or brackets that it brings along.
        const back = /(?:""|\[\])$/.test(insert) ? 1 : 0;
        view.dispatch({ changes: { from, to, insert }, selection: { anchor: from + insert.length - back }, userEvent: 'input.complete' });
      },
    })),
  };
}

function hover(view: EditorView, at: number, vocabulary: Vocabulary | null): ReturnType<Parameters<typeof hoverTooltip>[0]> {
  if (vocabulary === null) return null;
  const line = view.state.doc.lineAt(at);
  const [, before, key] = /^(\s*)([\w-]+)\s*=/.exec(line.text) ?? [];
  if (key === undefined) return null;
  const from = line.from + before!.length;
  if (at < from || at > from + key.length) return null;
  const says = meaningOf(tomlPlace(view.state.doc.toString(), from), key, vocabulary);
  if (says === null) return null;
  return {
    pos: from,
    end: from + key.length,
    above: true,
    create: () => {
      const dom = document.createElement('div');
      dom.className = 'cm-meaning';
      dom.textContent = says;
      return { dom };
    },
  };
}

const COLOURS = HighlightStyle.define([
  { tag: tags.propertyName, color: 'var(--toml-key)' },
  { tag: tags.string, color: 'var(--toml-text)' },
  { tag: [tags.number, tags.atom, tags.bool], color: 'var(--toml-number)' },
  { tag: tags.comment, color: 'var(--toml-comment)', fontStyle: 'italic' },
  { tag: [tags.bracket, tags.heading, tags.typeName], color: 'var(--toml-table)', fontWeight: '600' },
]);

const LOOK = EditorView.theme({
  '&': { height: '100%', backgroundColor: 'var(--toml-ground)', color: 'var(--toml-ink)', fontSize: '13px' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--toml-font)', lineHeight: '1.6' },
  '.cm-content': { caretColor: 'var(--toml-ink)', padding: '12px 0' },
  '.cm-line': { padding: '0 16px 0 8px' },
  '.cm-cursor': { borderLeftColor: 'var(--toml-ink)', borderLeftWidth: '2px' },
  '.cm-gutters': { backgroundColor: 'var(--toml-ground)', color: 'var(--toml-comment)', border: 'none', paddingLeft: '4px' },
  '.cm-activeLine': { backgroundColor: 'var(--toml-line)' },
  '.cm-activeLineGutter': { backgroundColor: 'var(--toml-line)', color: 'var(--toml-ink)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'var(--toml-selection)' },
  '.cm-selectionMatch': { backgroundColor: 'var(--toml-match)' },
  '.cm-searchMatch': { backgroundColor: 'var(--toml-match)', outline: '1px solid var(--toml-focus)' },
  '&.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--toml-match)' },
  '.cm-tooltip': {
    backgroundColor: 'var(--toml-raised)',
    color: 'var(--toml-ink)',
    border: '1px solid var(--toml-border)',
    borderRadius: '8px',
    boxShadow: 'var(--toml-shadow)',
  },
  '.cm-meaning': { padding: '8px 12px', maxWidth: '420px', fontFamily: 'var(--toml-prose)', fontSize: '13px', lineHeight: '1.45' },
  '.cm-diagnostic': { padding: '6px 12px', fontFamily: 'var(--toml-prose)', fontSize: '13px', maxWidth: '520px' },
  '.cm-diagnostic-error': { borderLeft: '4px solid var(--toml-error)' },
  '.cm-diagnostic-warning': { borderLeft: '4px solid var(--toml-warning)' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--toml-error)', textUnderlineOffset: '3px' },
  '.cm-lintRange-warning': { backgroundImage: 'none', textDecoration: 'underline wavy var(--toml-warning)', textUnderlineOffset: '3px' },
  '.cm-lint-marker': { width: '10px', height: '10px', marginTop: '5px', borderRadius: '50%' },
  '.cm-lint-marker-error': { content: 'none', backgroundColor: 'var(--toml-error)' },
  '.cm-lint-marker-warning': { content: 'none', backgroundColor: 'var(--toml-warning)' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--toml-font)', maxHeight: '260px', borderRadius: '7px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li': { padding: '4px 12px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]': { backgroundColor: 'var(--toml-chosen)', color: 'var(--toml-chosen-ink)' },
  '.cm-completionDetail': { color: 'inherit', opacity: '0.7', fontStyle: 'normal', marginLeft: '10px', fontSize: '12px' },
  '.cm-tooltip.cm-completionInfo': { padding: '8px 12px', fontSize: '13px', fontFamily: 'var(--toml-prose)', lineHeight: '1.45', maxWidth: '340px' },
  '.cm-panels': { backgroundColor: 'var(--toml-raised)', color: 'var(--toml-ink)' },
  '.cm-panels-top': { borderBottom: '1px solid var(--toml-border)' },
  '.cm-panel.cm-search': { padding: '8px 12px', fontFamily: 'var(--toml-prose)' },
  '.cm-textfield': {
    backgroundColor: 'var(--toml-ground)',
    color: 'var(--toml-ink)',
    border: '1px solid var(--toml-border)',
    borderRadius: '6px',
    padding: '4px 8px',
  },
  '.cm-button': {
    backgroundImage: 'none',
    backgroundColor: 'var(--toml-ground)',
    color: 'var(--toml-ink)',
    border: '1px solid var(--toml-border)',
    borderRadius: '6px',
    padding: '4px 10px',
  },
});
