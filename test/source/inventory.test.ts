import { expect, test } from 'vitest';
import { Inventory } from '../../src/source/files/inventory.ts';
import { type Manifest, manifestKey } from '../../src/source/manifests.ts';

type Step = { readonly read: string; readonly holds: readonly string[] } | { readonly release: string };

// An object is written `name` or `name=version`; an event as the same, or as `-name`.
const cases: readonly (readonly [name: string, steps: readonly (readonly [step: Step, told: readonly string[]])[]])[] =
  [
    [
      'additions, changes and what stays the same',
      [
        [{ read: 'a', holds: ['x=1', 'y=1'] }, ['x=1', 'y=1']],
        [{ read: 'a', holds: ['x=1', 'y=2'] }, ['y=2']],
        [{ read: 'a', holds: ['y=2', 'x=1'] }, []],
      ],
    ],
    [
      'what a reading loses is kept until it is released',
      [
        [{ read: 'a', holds: ['x=1', 'y=1'] }, ['x=1', 'y=1']],
        [{ read: 'a', holds: [] }, []],
        [{ read: 'a', holds: ['x=2'] }, ['x=2']],
        [{ release: 'a' }, ['-y']],
        [{ release: 'a' }, []],
      ],
    ],
    [
      'the file that sorts first is in force, the other takes over',
      [
        [{ read: 'b', holds: ['x=2'] }, ['x=2']],
        [{ read: 'a', holds: ['x=1'] }, ['x=1', 'b:1 x is already defined in a']],
        [{ read: 'b', holds: ['x=3'] }, []],
        [{ read: 'a', holds: [] }, ['x=3']],
        [{ release: 'a' }, []],
        [{ read: 'a', holds: ['x=3'] }, ['b:1 x is already defined in a']],
      ],
    ],
    [
      'an object moves to another file without an event',
      [
        [{ read: 'a', holds: ['x=1'] }, ['x=1']],
        [{ read: 'a', holds: [] }, []],
        [{ read: 'b', holds: ['x=1'] }, []],
        [{ release: 'a' }, []],
        [{ read: 'b', holds: [] }, []],
        [{ release: 'b' }, ['-x']],
      ],
    ],
    [
      'of two in one file the first counts, told once',
      [
        [{ read: 'a', holds: ['x=1', 'x=2'] }, ['x=1', 'a:2 x is already defined in line 1']],
        [{ read: 'a', holds: ['x=1', 'x=3'] }, []],
        [{ read: 'a', holds: ['x=3'] }, ['x=3']],
        [{ read: 'a', holds: ['x=3', 'x=1'] }, ['a:2 x is already defined in line 1']],
      ],
    ],
  ];

test.each(cases)('%s', (_name, steps) => {
  let told: string[] = [];
  const inventory = new Inventory(
    ({ key, manifest }) => told.push(manifest === undefined ? `-${nameIn(key)}` : written(manifest)),
    ({ file, line, reason }) => told.push(`${file}:${line} ${reason.replace('Namespace/', '')}`),
  );
  for (const [step, expected] of steps) {
    told = [];
    if ('release' in step) for (const _key of inventory.release(step.release));
    else {
      const reading = inventory.reading(step.read);
      for (const [index, object] of step.holds.entries()) {
        const manifest = namespaceOf(object);
        reading.put(manifestKey(manifest), manifest, index + 1);
      }
      reading.end();
      inventory.tellDuplicates();
    }
    expect(told).toEqual(expected);
  }
});

function namespaceOf(object: string): Manifest {
  const [name = '', version = ''] = object.split('=');
  return { kind: 'Namespace', name, labels: { version } };
}

function written(manifest: Manifest): string {
  return manifest.kind === 'Namespace' ? `${manifest.name}=${manifest.labels['version']}` : manifest.kind;
}

function nameIn(key: string): string {
  return key.slice(key.indexOf('/') + 1);
}
