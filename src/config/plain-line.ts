/** Text for one line of a terminal: what would move the cursor, change colours or turn the direction of writing is shown as `?`. */
export function plainLine(text: string): string {
  return text.replace(/\p{C}|[\u2028\u2029]/gu, '?');
}
