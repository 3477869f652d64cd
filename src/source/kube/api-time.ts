// Times as the API server writes them.

/** Now, in RFC 3339 and whole seconds. */
export function apiTime(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
