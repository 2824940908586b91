/** A name that people can say over the phone, such as `brisk-otter`. `randomInt(n)` is a whole number from 0 up to, but not including, n. */
export function twoWords(randomInt: (n: number) => number): string {
  return `${FIRST[randomInt(FIRST.length)]!}-${SECOND[randomInt(SECOND.length)]!}`;
}

const FIRST =
  'amber ample apt bold brave breezy bright brisk calm candid cheery clear clever cosy crisp curious daring deft eager early fair famous fleet fond frank fresh gentle glad golden grand happy hardy honest humble jolly keen kind lively lucky mellow merry mighty modest neat nimble noble patient placid plucky polite prime proud quick quiet rapid ready robust rosy silver sleek smart snug sound spry steady stout sturdy sunny swift tidy tranquil true upbeat vivid warm wise witty young zesty'.split(
    ' ',
  );
const SECOND =
  'acorn alder anchor anvil aspen badger barrel beacon beaver birch bison bobbin bridge brook buoy canyon cedar cobalt comet coral crane creek cricket delta dune eagle elm ember falcon fern finch fjord forest fox gannet geyser glacier harbor hare hawk hazel heron island jackal kestrel kettle lagoon lantern lark linden lynx maple marlin marten meadow mesa moose newt oak orchid osprey otter owl pebble pelican pine plover pulley puffin quartz raven reef river robin salmon sparrow spruce stork summit tern thistle tiger trout tulip valley walnut walrus willow wren yarrow'.split(
    ' ',
  );
