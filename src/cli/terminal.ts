/** A screen with keys: somebody sits there. */
export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  /** Calls back when the size has changed, until the returned function is called. */
  onResize(callback: () => void): () => void;
  /** Keys as they come, unechoed, Ctrl-C among them, until the returned function is called. */
  onKeys(callback: (keys: string) => void): () => void;
  /** Calls back at the very end of the process, whatever ends it but SIGKILL: the last chance to write. */
  onExit(callback: () => void): () => void;
}

/** The one that this process runs in; null when its input or output goes elsewhere. */
export function processTerminal(): Terminal | null {
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) return null;
  return {
    get columns() {
      return stdout.columns;
    },
    get rows() {
      return stdout.rows;
    },
    onResize: (callback) => {
      stdout.on('resize', callback);
      return () => void stdout.off('resize', callback);
    },
    onKeys: (callback) => {
      const heard = (data: Buffer): void => callback(data.toString('latin1'));
      stdin.setRawMode(true);
      stdin.on('data', heard);
      stdin.resume();
      return () => {
        stdin.off('data', heard);
        stdin.setRawMode(false);
        stdin.pause();
      };
    },
    onExit: (callback) => {
      process.on('exit', callback);
      return () => void process.off('exit', callback);
    },
  };
}
