// Who may do what, by the rules of a ClusterRole: as the RBAC authorizer of a cluster decides it.

/** A ClusterRole of the API. */
export type ClusterRole = { readonly rules: readonly Rule[] };

type Rule = {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
};

/** What is asked for. */
export type Wanted = {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
};

/** Whether a role allows it. */
export function allows({ rules }: ClusterRole, { verb, group, resource, subresource, name }: Wanted): boolean {
  const whole = subresource === '' ? resource : `${resource}/${subresource}`;
  const has = (list: readonly string[] | undefined, word: string): boolean =>
    list !== undefined && (list.includes(word) || list.includes('*'));
  return rules.some(
    (rule) =>
      has(rule.verbs, verb) &&
      has(rule.apiGroups, group) &&
      has(rule.resources, whole) &&
      (rule.resourceNames === undefined || rule.resourceNames.includes(name)),
  );
}
