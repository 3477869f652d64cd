// What an API server does with objects of a CustomResourceDefinition, for the part of OpenAPI and CEL that ours uses. A keyword
// that is not known here is a fault of the definition, so that no rule goes unchecked.

import { Environment } from '@marcbachmann/cel-js';

type ValueRules = {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
};

type CelRule = { readonly rule: string; readonly message: string; readonly fieldPath?: string };

/** A structural schema. */
export type Schema = ValueRules & {
  readonly description?: string;
  readonly format?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly ValueRules[];
  readonly not?: ValueRules;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: 'atomic';
  readonly 'x-kubernetes-validations'?: readonly CelRule[];
};

/** A CustomResourceDefinition, as far as it is looked at. */
export type Definition = {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: Readonly<Record<string, unknown>>;
    readonly versions: readonly {
      readonly name: string;
      readonly served: boolean;
      readonly storage: boolean;
      readonly subresources: object;
      readonly schema: { readonly openAPIV3Schema: Schema };
      readonly additionalPrinterColumns: readonly {
        readonly name: string;
        readonly type: string;
        readonly jsonPath: string;
        readonly priority?: number;
      }[];
      readonly selectableFields: readonly { readonly jsonPath: string }[];
    }[];
  };
};

type Fields = Readonly<Record<string, unknown>>;

const valueKeywords = [
  'type',
  'enum',
  'pattern',
  'minLength',
  'maxLength',
  'minimum',
  'maximum',
  'maxItems',
] as const satisfies readonly (keyof ValueRules)[];
const keywords: ReadonlySet<string> = new Set([
  ...valueKeywords,
  'description',
  'format',
  'default',
  'properties',
  'required',
  'items',
  'anyOf',
  'not',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
]);

/** Writes an object as the API server would: what it stores, and why it refuses (nothing, if it does not). */
export function admit(
  schema: Schema,
  object: unknown,
): { readonly stored: unknown; readonly faults: readonly string[] } {
  const stored = withDefaults(schema, pruned(schema, object, ''));
  const faults = valueFaults(schema, stored, '');
  // Rules are for values of the right shape; the API server does not run them on others.
  return { stored, faults: faults.length > 0 ? faults : ruleFaults(schema, stored, '') };
}

/** Takes out unknown fields, and null where it is not allowed, which counts as absent. Metadata has a schema of its own. */
function pruned(schema: Schema, value: unknown, path: string): unknown {
  if (path === '.metadata') return value;
  if (Array.isArray(value)) {
    return schema.items === undefined ? value : value.map((item) => pruned(schema.items as Schema, item, `${path}[]`));
  }
  if (!isFields(value)) return value;
  const kept: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const inner = value[name];
    if (inner !== undefined && inner !== null) kept[name] = pruned(field, inner, `${path}.${name}`);
  }
  return kept;
}

function withDefaults(schema: Schema, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => withDefaults(schema.items ?? {}, item));
  if (!isFields(value)) return value;
  const filled: Record<string, unknown> = { ...value };
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const inner = filled[name] ?? field.default;
    if (inner !== undefined) filled[name] = withDefaults(field, inner);
  }
  return filled;
}

function valueFaults(schema: Schema, value: unknown, path: string): readonly string[] {
  const faults = brokenRules(schema, value).map((fault) => `${path}: ${fault}`);
  const { anyOf, not } = schema;
  if (anyOf !== undefined && !anyOf.some((rules) => brokenRules(rules, value).length === 0)) {
    faults.push(`${path}: must validate at least one schema (anyOf)`);
  }
  if (not !== undefined && brokenRules(not, value).length === 0) {
    faults.push(`${path}: must not validate the schema (not)`);
  }
  if (Array.isArray(value)) {
    const keys = new Set<string>();
    value.forEach((item, i) => {
      faults.push(...valueFaults(schema.items ?? {}, item, `${path}[${i}]`));
      const mapKeys = schema['x-kubernetes-list-map-keys'];
      if (mapKeys === undefined) return;
      const key = JSON.stringify(mapKeys.map((name) => (item as Fields | null)?.[name]));
      if (keys.has(key)) faults.push(`${path}[${i}]: Duplicate value: ${key}`);
      keys.add(key);
    });
  } else if (isFields(value)) {
    for (const name of schema.required ?? []) {
      if (value[name] === undefined) faults.push(`${path}.${name}: Required value`);
    }
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      if (value[name] !== undefined) faults.push(...valueFaults(field, value[name], `${path}.${name}`));
    }
  }
  return faults;
}

/** What the rules for a single value say of one. */
function brokenRules(rules: ValueRules, value: unknown): string[] {
  const faults: string[] = [];
  const refuse = (broken: boolean, fault: string): void => {
    if (broken) faults.push(fault);
  };
  if (rules.type !== undefined && !isOfType(rules.type, value)) return [`must be of type ${rules.type}`];
  refuse(rules.enum?.includes(value) === false, `Unsupported value: supported values: ${rules.enum?.join(', ')}`);
  if (typeof value === 'string') {
    refuse(
      rules.pattern !== undefined && !new RegExp(rules.pattern, 'u').test(value),
      `should match '${rules.pattern}'`,
    );
    refuse([...value].length < (rules.minLength ?? 0), `should be at least ${rules.minLength} chars long`);
    refuse(
      [...value].length > (rules.maxLength ?? Number.POSITIVE_INFINITY),
      `may not be longer than ${rules.maxLength}`,
    );
  } else if (typeof value === 'number') {
    refuse(value < (rules.minimum ?? Number.NEGATIVE_INFINITY), `should be greater than or equal to ${rules.minimum}`);
    refuse(value > (rules.maximum ?? Number.POSITIVE_INFINITY), `should be less than or equal to ${rules.maximum}`);
  } else if (Array.isArray(value)) {
    refuse(value.length > (rules.maxItems ?? Number.POSITIVE_INFINITY), `must have at most ${rules.maxItems} items`);
  }
  return faults;
}

function isOfType(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isFields(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function ruleFaults(schema: Schema, value: unknown, path: string): readonly string[] {
  const faults: string[] = [];
  for (const { rule, message, fieldPath } of schema['x-kubernetes-validations'] ?? []) {
    if (environmentOf(schema).evaluate(rule, { self: value }) !== true) {
      faults.push(`${path}${fieldPath ?? ''}: ${message}`);
    }
  }
  if (Array.isArray(value)) {
    value.forEach((item, i) => {
      faults.push(...ruleFaults(schema.items ?? {}, item, `${path}[${i}]`));
    });
  } else if (isFields(value)) {
    for (const [name, field] of Object.entries(schema.properties ?? {})) {
      if (value[name] !== undefined) faults.push(...ruleFaults(field, value[name], `${path}.${name}`));
    }
  }
  return faults;
}

const environments: WeakMap<Schema, Environment> = new WeakMap();

/** Where the rules of a schema are compiled: `self` has the type of the schema, as on an API server. */
function environmentOf(schema: Schema): Environment {
  let environment = environments.get(schema);
  if (environment === undefined) {
    const type = celTypeOf(schema);
    environment = new Environment().registerVariable(
      typeof type === 'string' ? { name: 'self', type } : { name: 'self', schema: type },
    );
    environments.set(schema, environment);
  }
  return environment;
}

type CelType = string | { readonly [field: string]: CelType };

function celTypeOf(schema: Schema): CelType {
  const names: Readonly<Record<string, string>> = { string: 'string', integer: 'int', boolean: 'bool', array: 'list' };
  if (schema.type !== 'object') return names[schema.type ?? ''] ?? 'dyn';
  if (schema.properties === undefined) return 'map';
  return Object.fromEntries(Object.entries(schema.properties).map(([name, field]) => [name, celTypeOf(field)]));
}

/** What would make an API server refuse the definition itself, or leave a rule of it without effect. */
export function schemaFaults(schema: Schema, path: string = ''): readonly string[] {
  const faults: string[] = [];
  const refuse = (broken: boolean, fault: string): void => {
    if (broken) faults.push(`${path}: ${fault}`);
  };
  const { properties, items, required = [], anyOf = [], not = {}, pattern } = schema;
  const mapKeys = schema['x-kubernetes-list-map-keys'] ?? [];
  const rules = schema['x-kubernetes-validations'] ?? [];

  for (const keyword of Object.keys(schema)) refuse(!keywords.has(keyword), `unknown keyword ${keyword}`);
  for (const keyword of [...anyOf, not].flatMap((nested) => Object.keys(nested))) {
    refuse(!(valueKeywords as readonly string[]).includes(keyword), `${keyword} may not be nested`);
  }
  refuse((schema.type === undefined) !== (schema['x-kubernetes-int-or-string'] === true), 'needs one type');
  for (const name of required) refuse(properties?.[name] === undefined, `requires the unknown field ${name}`);
  refuse(schema['x-kubernetes-list-type'] === 'map' && mapKeys.length === 0, 'a list map needs keys');
  for (const key of mapKeys) {
    const field = items?.properties?.[key];
    const isThere = items?.required?.includes(key) === true || field?.default !== undefined;
    refuse(field?.type !== 'string' || !isThere, `${key} cannot be a key`);
  }
  if (schema.default !== undefined) {
    refuse(valueFaults(schema, schema.default, path).length > 0, 'the default is not allowed');
  }
  for (const expression of [pattern ?? '', ...rules.map(({ rule }) => rule)]) {
    // The API server's regular expressions are RE2's: no looking around, no back-references, other names for sets.
    refuse(/\(\?[=!<]|(?<!\\)\\[1-9pP]|\[\[:/.test(expression), `${expression} does not mean the same in RE2`);
  }
  for (const { rule, message, fieldPath } of rules) {
    const checked = environmentOf(schema).check(rule);
    refuse(!checked.valid || checked.type !== 'bool', `${rule}: ${checked.error?.message ?? `is a ${checked.type}`}`);
    refuse(message === '' || /\n/.test(message), `${rule}: the message must be one line`);
    refuse(fieldPath !== undefined && schemaAt(schema, fieldPath) === null, `${fieldPath} is no field`);
  }
  for (const [name, field] of Object.entries(properties ?? {})) faults.push(...schemaFaults(field, `${path}.${name}`));
  if (items !== undefined) faults.push(...schemaFaults(items, `${path}[]`));
  return faults;
}

/** The schema that a JSON path of kubectl leads to; null where it leads nowhere. Metadata is that of every object. */
export function schemaAt(schema: Schema, jsonPath: string): Schema | null {
  if (jsonPath === '.metadata.creationTimestamp') return { type: 'string', format: 'date-time' };
  let at: Schema | undefined = schema;
  let end = 0;
  for (const match of jsonPath.matchAll(/\.(\w+)|\[(?:\d+|\?\(@\.(\w+)=="[^"]*"\))\]/gy)) {
    const [step, field, filter] = match;
    at = field === undefined ? at?.items : at?.properties?.[field];
    if (filter !== undefined && at?.properties?.[filter] === undefined) return null;
    end += step.length;
  }
  return end === jsonPath.length ? (at ?? null) : null;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
