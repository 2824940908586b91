// Methods that every Node has, without the encoding lookup of toString() and write(); the type package lists them only from a later line on.
interface Buffer {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, offset: number): number;
}
