// Faults that wait for the requests that they are meant for.

import type { Kind } from './resources.ts';
import type { FaultCode } from './status.ts';

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete';

/** Which requests; what is absent leaves it open. Kinds that are never stored go by their resource. */
export type FaultMatch = {
  readonly kind?: Kind;
  readonly resource?: string;
  readonly subresource?: string;
  readonly verb?: Verb;
  readonly namespace?: string;
  readonly name?: string;
};

/** What happens to a request. */
export type FaultEffect =
  | {
      readonly kind: 'status';
      readonly code: FaultCode;
      readonly retryAfterSeconds?: number;
      /** True: the plain text that the gates in front of the API answer with, instead of a Status. */
      readonly isText?: boolean;
    }
  /** The list has no items, though there are some. */
  | { readonly kind: 'emptyList' }
  /** The answer is made at once and sent later. */
  | { readonly kind: 'slow'; readonly delayMs: number }
  /** A web page in the place of an answer, as proxies make them. The request has no effect. */
  | { readonly kind: 'page'; readonly code: 200 | 502 }
  /** Half of an answer, then RST. The request has had its effect. */
  | { readonly kind: 'halfAnswer' }
  /** RST in the place of an answer. The request has no effect. */
  | { readonly kind: 'drop' }
  /** RST in the place of an answer. The request has had its effect. */
  | { readonly kind: 'dropAnswer' }
  /** No answer ever. The request has no effect. */
  | { readonly kind: 'hang' };

export type Fault = FaultEffect & {
  readonly match?: FaultMatch;
  /** Default 1. */
  readonly times?: number;
};

/** What faults are matched against. */
export type FaultSubject = {
  readonly kind: Kind | null;
  readonly resource: string;
  readonly subresource: string;
  readonly verb: string;
  readonly namespace: string;
  readonly name: string;
};

export class Faults {
  readonly #waiting: { readonly fault: Fault; left: number }[] = [];

  /** Answers how to take the fault back. */
  add(fault: Fault): () => void {
    const entry = { fault, left: fault.times ?? 1 };
    this.#waiting.push(entry);
    return () => {
      entry.left = 0;
    };
  }

  /** The oldest fault that fits, used up by one; null where none does. */
  take(subject: FaultSubject): FaultEffect | null {
    const entry = this.#waiting.find(({ fault, left }) => left > 0 && fits(fault, subject));
    if (entry === undefined) return null;
    entry.left--;
    return entry.fault;
  }
}

function fits({ kind, match = {} }: Fault, subject: FaultSubject): boolean {
  if (kind === 'emptyList' && subject.verb !== 'list') return false;
  const wanted = Object.entries(match) as [keyof FaultMatch, string | undefined][];
  return wanted.every(([part, value]) => value === undefined || subject[part] === value);
}
