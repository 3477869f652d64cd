// Which fields of an object its Kubernetes type does not have, by the models of client-node, which are made from the API's own
// description. An API server drops such fields, or refuses them.

import * as models from '@kubernetes/client-node';

type Attribute = { readonly baseName: string; readonly type: string };
type Model = { readonly getAttributeTypeMap: () => readonly Attribute[] };

/** Paths of unknown fields and of values of the wrong shape; null where there is no such type among the models. */
export function unknownFields(object: { readonly apiVersion: string; readonly kind: string }): string[] | null {
  // `apps/v1` Deployment is V1Deployment, `autoscaling/v2` HorizontalPodAutoscaler is V2HorizontalPodAutoscaler.
  const version = object.apiVersion.split('/').at(-1) ?? '';
  const type = `${version.replace(/^v/, 'V')}${object.kind}`;
  if (object.apiVersion.includes('.coreos.com/') || modelOf(type) === undefined) return null;
  const found: string[] = [];
  check(object, type, '', found);
  return found;
}

function check(value: unknown, type: string, path: string, found: string[]): void {
  const [, item] = /^Array<(.*)>$/.exec(type) ?? [];
  const [, entry] = /^\{ \[key: string\]: (.*); \}$/.exec(type) ?? [];
  const model = modelOf(type);
  if (item !== undefined) {
    if (!Array.isArray(value)) found.push(`${path}: is no list`);
    else for (const [i, each] of value.entries()) check(each, item, `${path}[${i}]`, found);
  } else if (entry !== undefined || model !== undefined) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      found.push(`${path}: is no map`);
      return;
    }
    const attributes = new Map(model?.getAttributeTypeMap().map((each) => [each.baseName, each.type]));
    for (const [key, each] of Object.entries(value)) {
      const its = entry ?? attributes.get(key);
      if (its === undefined) found.push(`${path}.${key}`);
      else check(each, its, `${path}.${key}`, found);
    }
  } else if (['string', 'number', 'boolean'].includes(type)) {
    if (typeof value !== type) found.push(`${path}: is no ${type}`);
  }
}

function modelOf(type: string): Model | undefined {
  const model: unknown = (models as Readonly<Record<string, unknown>>)[type];
  return typeof model === 'function' && 'getAttributeTypeMap' in model ? (model as unknown as Model) : undefined;
}
