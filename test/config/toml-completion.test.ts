import { expect, test } from 'vitest';
import { jsonSchema } from '../../src/config/json-schema.ts';
import { meaningOf, suggestions, type Vocabulary } from '../../ui/src/screens/configuration/editor/completion.ts';
import { tomlPlace } from '../../ui/src/screens/configuration/editor/toml-place.ts';

const vocabulary: Vocabulary = {
  schema: jsonSchema(),
  sections: [
    {
      section: 'locations',
      named: true,
      kinds: [
        {
          kind: '',
          says: '',
          groups: [
            {
              title: '',
              fields: [
                {
                  key: 'upstream',
                  help: '',
                  input: 'reference',
                  choices: [],
                  refersTo: 'upstreams',
                  many: false,
                  required: false,
                  fallback: '',
                  example: '',
                },
              ],
            },
          ],
        },
      ],
    },
  ],
  names: { upstreams: ['api', 'gpu'] },
};

/** `|` is where somebody writes. */
function at(marked: string): ReturnType<typeof tomlPlace> {
  return tomlPlace(marked.replace('|', ''), marked.indexOf('|'));
}

function labels(marked: string): string[] {
  return suggestions(at(marked), vocabulary).map(({ label }) => label);
}

test('a place is known by the header above it, whatever stands in texts and lists', () => {
  expect(at('[servers.web]\naddr = "[x]"\nlo|')).toMatchObject({ table: ['servers', 'web'], at: 'key', from: 27 });
  expect(at('[upstreams."a.b"]\nx = """\n[no.header]\ny = 1\n"""\nalgo = |')).toMatchObject({
    table: ['upstreams', 'a.b'],
    at: 'value',
    key: 'algo',
  });
  expect(at('[basic]\n# lo|')).toMatchObject({ at: 'none' });
  expect(at('[basic]\nname = "x" # lo|')).toMatchObject({ at: 'none' });
  expect(at('[locations.a]\nhost = """\nlo|\n"""')).toMatchObject({ at: 'none' });
  expect(at('[servers.web]\nlocations = [\n  "a",\n  "|"\n]\n')).toMatchObject({ at: 'value', key: 'locations', quoted: true, listed: true });
  expect(at('[servers.web]\nlocations = [\n  |\n]\n')).toMatchObject({ at: 'value', key: 'locations', quoted: false, listed: true });
  expect(at('|')).toMatchObject({ table: [], at: 'key' });
  expect(at('[ser|')).toMatchObject({ at: 'header', from: 1 });
});

test('a text without an end hides no more than its line', () => {
  expect(at('[servers.web]\naddr = "oops\nlo|')).toMatchObject({ table: ['servers', 'web'], at: 'key' });
});

test('keys of the table are told that are not there yet', () => {
  const found = labels('[servers.web]\naddr = "x"\n|\nlocations = ["a"]');
  expect(found).toContain('max_body');
  expect(found).not.toContain('addr');
  expect(found).not.toContain('locations');
  expect(found).not.toContain('threads');
});

test('keys of a plugin are those of its category', () => {
  const found = labels('[plugins.a]\ncategory = "limit"\n|');
  expect(found).toContain('interval');
  expect(found).not.toContain('autoindex');
  expect(labels('[plugins.a]\ncategory = "directory"\n|')).toContain('autoindex');
});

test('sections are told behind an opening bracket', () => {
  expect(labels('[|')).toEqual(expect.arrayContaining(['servers.', 'basic', 'agents', 'plugins.']));
});

test('values are choices, true and false, and names of what is referred to, with quotes where there are none', () => {
  expect(labels('[basic]\nlog_level = |')).toEqual(expect.arrayContaining(['debug', 'warn']));
  expect(labels('[servers.web]\nself_signed = |')).toEqual(['true', 'false']);
  const plain = suggestions(at('[locations.a]\nupstream = |'), vocabulary).map(({ insert }) => insert);
  expect(plain).toEqual(['"api"', '"gpu"']);
  const quoted = suggestions(at('[locations.a]\nupstream = "|"'), vocabulary).map(({ insert }) => insert);
  expect(quoted).toEqual(['api', 'gpu']);
});

test('a key says what it means', () => {
  expect(meaningOf(at('[servers.web]\n|'), 'addr', vocabulary)).toContain('where to listen');
  expect(meaningOf(at('[servers.web]\n|'), 'nonsense', vocabulary)).toBeNull();
});
