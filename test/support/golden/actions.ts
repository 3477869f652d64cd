// The header actions that the reference router was seen to carry out on requests (observed 15).

/** What is done to a field: it is set to a value, or with null deleted. */
export type NamedAction = readonly [name: string, value: string | null];

export const observedActions: readonly NamedAction[] = [
  ['X-One', 'a b'],
  ['X-Two', null],
  ['X-Dyn', '%[req.hdr(host),lower]'],
  ['X-Pct', '100%%'],
  ['X-If', 'v if foo'],
  ['X-Env', '${HOME}'],
  ['X-Quote', `it's "q" \\ #`],
  ['X-B64', '%[req.hdr(x-in),base64]'],
  ['X-Q', '%{+Q}[req.hdr(x-in)]'],
  ['X-QE', '%{+Q}[req.hdr(x-none)]'],
  ['X-Cert', '%{+Q}[ssl_c_der,base64]'],
  ['X-Two2', '%[req.hdr(X-In)]-%[req.hdr(X-In),lower]'],
  ['X-Empty', '%[req.hdr(x-none)]'],
];
