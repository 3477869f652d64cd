import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type HostNaming, isInDomains, named } from '../../src/controller/host-naming.ts';
import type { RouteManifest } from '../../src/source/manifests.ts';
import { aRoute } from '../support/manifests.ts';

const plain: HostNaming = { routerDomain: '', hostTemplate: '', overrideHosts: false, overrideDomains: [] };

function route(host: string, subdomain = ''): RouteManifest {
  return { ...aRoute('shop/web').host(host).build(), subdomain };
}

describe('under which host a Route is served (Route semantics 2.1)', () => {
  const cases: readonly (readonly [
    about: string,
    host: string,
    subdomain: string,
    naming: Partial<HostNaming>,
    expected: string,
  ])[] = [
    ['nothing set', 'a.test', '', {}, 'a.test'],
    ['nothing set, no host', '', '', {}, ''],
    ['a subdomain and no domain', '', 'web', {}, ''],
    ['a subdomain and a domain', '', 'web', { routerDomain: 'apps.test' }, 'web.apps.test'],
    ['a subdomain of two labels', '', 'web.shop', { routerDomain: 'apps.test' }, 'web.shop.apps.test'],
    ['a domain and no subdomain', '', '', { routerDomain: 'apps.test' }, ''],
    ['a host goes before a subdomain', 'a.test', 'web', { routerDomain: 'apps.test' }, 'a.test'],
    // The template.
    ['for a Route without host', '', '', { hostTemplate: '${name}-${namespace}.apps.test' }, 'web-shop.apps.test'],
    ['not for one with a host', 'a.test', '', { hostTemplate: '${name}.apps.test' }, 'a.test'],
    [
      'not for one with a subdomain',
      '',
      'web',
      { hostTemplate: '${name}.t.test', routerDomain: 'apps.test' },
      'web.apps.test',
    ],
    ['for one with a subdomain that has no domain', '', 'web', { hostTemplate: '${name}.t.test' }, 'web.t.test'],
    ['for all', 'a.test', '', { hostTemplate: '${name}.t.test', overrideHosts: true }, 'web.t.test'],
    [
      'for all, with a subdomain',
      '',
      'x',
      { hostTemplate: '${name}.t.test', overrideHosts: true, routerDomain: 'apps.test' },
      'web.t.test',
    ],
    [
      'for hosts in a domain',
      'a.old.test',
      '',
      { hostTemplate: '${name}.t.test', overrideDomains: ['old.test'] },
      'web.t.test',
    ],
    [
      'for a host that is the domain',
      'old.test',
      '',
      { hostTemplate: '${name}.t.test', overrideDomains: ['old.test'] },
      'web.t.test',
    ],
    [
      'not for hosts in another domain',
      'a.new.test',
      '',
      { hostTemplate: '${name}.t.test', overrideDomains: ['old.test'] },
      'a.new.test',
    ],
    [
      'for a host made of a subdomain that is in a domain',
      '',
      'web',
      { hostTemplate: '${namespace}.t.test', routerDomain: 'old.test', overrideDomains: ['old.test'] },
      'shop.t.test',
    ],
    ['override without a template', 'a.test', '', { overrideHosts: true, overrideDomains: ['test'] }, 'a.test'],
    // What a template may hold.
    ['no variable', '', '', { hostTemplate: 'one.test' }, 'one.test'],
    ['a variable twice', '', '', { hostTemplate: '${name}.${name}.test' }, 'web.web.test'],
    ['single quotes around it', '', '', { hostTemplate: "'${name}.test'" }, 'web.test'],
    ['double quotes around it', '', '', { hostTemplate: '"${name}.test"' }, 'web.test'],
    ['several kinds of quotes', '', '', { hostTemplate: `"'"\${name}.test'"'` }, 'web.test'],
    ['a quote at one end', '', '', { hostTemplate: "'${name}.test" }, 'web.test'],
    ['a quote inside', '', '', { hostTemplate: "${name}'s.test" }, "web's.test"],
    ['nothing but quotes', '', '', { hostTemplate: `'"` }, ''],
    ['blanks', '', '', { hostTemplate: ' ${name} ' }, ' web '],
  ];
  test.each(cases)('%s', (_about, host, subdomain, naming, expected) => {
    const given = route(host, subdomain);
    const result = named(given, { ...plain, ...naming });
    expect(result).toEqual({ ...given, host: expected });
    expect(given.host).toBe(host);
  });

  test('names with what String.replace takes for more stay as they are', () => {
    const odd = { ...aRoute("$&/$1$'").build() };
    expect(named(odd, { ...plain, hostTemplate: '${name}.${namespace}.test' }).host).toBe("$1$'.$&.test");
    const nested = aRoute('${name}/${namespace}').build();
    expect(named(nested, { ...plain, hostTemplate: '${name}.${namespace}' }).host).toBe('${namespace}.${name}');
  });

  test('a Route that keeps its host is the same Route', () => {
    const given = route('a.test');
    expect(named(given, plain)).toBe(given);
    expect(named(given, { ...plain, hostTemplate: 'a.test', overrideHosts: true })).toBe(given);
  });

  test('naming twice is naming once', () => {
    const domain = fc.constantFrom('', 'old.test', 'apps.test');
    const naming = fc.record({
      routerDomain: domain,
      hostTemplate: fc.constantFrom('', '${name}.apps.test', "'${namespace}.old.test'"),
      overrideHosts: fc.boolean(),
      overrideDomains: fc.subarray(['old.test', 'apps.test']),
    });
    fc.assert(
      fc.property(naming, fc.constantFrom('', 'a.old.test', 'a.test'), fc.constantFrom('', 's'), (given, host, sub) => {
        const once = named(route(host, sub), given);
        expect(named(once, given)).toEqual(once);
      }),
    );
  });
});

describe('a host in a list of domains', () => {
  const cases: readonly (readonly [host: string, domains: readonly string[], expected: boolean])[] = [
    ['a.b.example.com', ['example.com'], true],
    ['example.com', ['example.com'], true],
    ['badexample.com', ['example.com'], false],
    ['example.com', ['a.example.com'], false],
    ['a.example.com', ['com'], true],
    ['com', ['com'], true],
    ['a.example.com', ['org', 'b.example.com', 'a.example.com'], true],
    ['a.test', [], false],
    ['', ['test'], false],
    ['', [''], true],
    // Letter for letter.
    ['a.Example.com', ['example.com'], false],
    ['a.example.com', ['Example.com'], false],
    ['a.example.com.', ['example.com'], false],
    ['a.example.com', ['.example.com'], false],
    ['a.example.com', ['*.example.com'], false],
    // It ends where no dot is left, or one is in front.
    ['a..test', ['test'], false],
    ['a..test', ['.test'], true],
    ['.test', ['test'], false],
    ['.', ['.'], true],
    ['a.', [''], true],
    ['a', [''], false],
  ];
  test.each(cases)('%j in %j: %s', (host, domains, expected) => expect(isInDomains(host, domains)).toBe(expected));

  test('says what a plain reading of the rule says', () => {
    const model = (host: string, domains: readonly string[]): boolean => {
      if (domains.includes(host)) return true;
      const dot = host.indexOf('.');
      return dot > 0 ? model(host.slice(dot + 1), domains) : false;
    };
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 6 });
    fc.assert(
      fc.property(text, fc.array(text, { maxLength: 3 }), (host, domains) => {
        expect(isInDomains(host, domains)).toBe(model(host, domains));
      }),
      { numRuns: 2000 },
    );
  });
});
