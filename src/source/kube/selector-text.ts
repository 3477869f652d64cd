// Selectors as the API server reads them.

import type { FieldRequirement, LabelRequirement } from '../../config/selectors.ts';

/** The text of a label selector; empty for none. */
export function labelSelectorText(requirements: readonly LabelRequirement[]): string {
  return requirements.map(labelText).join(',');
}

/** The text of a field selector; empty for none. */
export function fieldSelectorText(requirements: readonly FieldRequirement[]): string {
  return requirements.map(({ field, equal, value }) => `${field}${equal ? '=' : '!='}${value}`).join(',');
}

function labelText({ key, operator, values }: LabelRequirement): string {
  switch (operator) {
    case 'in':
      return `${key} in (${values.join(',')})`;
    case 'not-in':
      return `${key} notin (${values.join(',')})`;
    case 'exists':
      return key;
    case 'absent':
      return `!${key}`;
    case 'greater':
      return `${key}>${values.join('')}`;
    case 'less':
      return `${key}<${values.join('')}`;
  }
}
