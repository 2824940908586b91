import { Problem } from '../admin/route.ts';
import { StoreError } from '../store/records.ts';

/** The same, with an answer for whoever asked when it could not be written. `so`: what that means now. @throws Problem */
export async function written<T>(change: Promise<T>, so: string): Promise<T> {
  try {
    return await change;
  } catch (error) {
    if (error instanceof StoreError) throw new Problem(507, 'not_written', `${so}: ${error.message}.`);
    throw error;
  }
}
