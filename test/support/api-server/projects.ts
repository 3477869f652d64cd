// OpenShift's projects: the Namespaces that the one who asks may see, under another name.

import { parseSelection } from './lists.ts';
import type { Collection, KubeObject } from './object-store.ts';
import type { JsonObject } from './patches.ts';
import { notFound } from './status.ts';

const subject = { group: 'project.openshift.io', plural: 'projects' };
const apiVersion = 'project.openshift.io/v1';

/** The body of a list; only selectors are read of its query. */
export function projectListBody(
  namespaces: Collection,
  resourceVersion: number,
  query: URLSearchParams,
  isVisible: (name: string) => boolean,
): string {
  const selection = parseSelection(namespaces.type, '', query, ['metadata.name', 'status.phase']);
  const items = namespaces.sorted
    .map(({ value }) => value)
    .filter((value) => selection.matches(value) && isVisible(value.metadata.name))
    .map(project);
  const metadata = { resourceVersion: String(resourceVersion) };
  return `${JSON.stringify({ kind: 'ProjectList', apiVersion, metadata, items })}\n`;
}

/** The body of one project. */
export function projectBody(namespaces: Collection, name: string, isVisible: (name: string) => boolean): string {
  const namespace = namespaces.objects.get(name);
  if (namespace === undefined || !isVisible(name)) throw notFound(subject, name);
  return `${JSON.stringify({ kind: 'Project', apiVersion, ...project(namespace.value) })}\n`;
}

function project({ metadata }: KubeObject): JsonObject {
  return { metadata, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } };
}
