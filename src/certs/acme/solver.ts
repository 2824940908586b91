/** One name to be proven. */
export interface Challenge {
  readonly name: string;
  readonly token: string;
  /** What a client is to be shown who asks for the token (RFC 8555 8.1); a DNS record holds its digest. */
  readonly keyAuthorization: string;
}

/** A way of proving that a name is ours. Today there is one, over HTTP; one over DNS has the same form. */
export interface ChallengeSolver {
  /** As servers name it, such as `http-01`. */
  readonly type: string;
  /** Resolves when the proof can be seen from outside. */
  present(challenge: Challenge): Promise<void>;
  /** The proof is not needed any more, whatever came of it. */
  cleanUp(challenge: Challenge): Promise<void>;
}
