// Lists of the API server, as they come: page by page.

import { ApiError } from './api-client.ts';

/** Objects in a page: 250 Routes with certificates are some 2 MB of JSON, 10 ms to read. */
export const pageSize = 250;

/** One page: its objects as they came, how to ask for the next one (empty: it is the last), and the version of the list. */
export type ListPage = { readonly items: readonly unknown[]; readonly next: string; readonly version: string };

/** Reads one page of a list. Throws ApiError where the answer is none, so that nothing is taken for gone. */
export function pageOf(answer: unknown): ListPage {
  const { items, metadata } = (answer ?? {}) as {
    items?: unknown;
    metadata?: { continue?: unknown; resourceVersion?: unknown };
  };
  const version = metadata?.resourceVersion;
  if (typeof version !== 'string' || (items !== null && !Array.isArray(items))) {
    throw new ApiError(0, '', 'the answer is no list');
  }
  return { items: items ?? [], next: String(metadata?.continue ?? ''), version };
}
