// The weights that the OpenShift router gives to servers (Route semantics 5.7). Nothing is balanced by them here; people read
// them in dashboards.

/** A Service of a Route: its weight, and how many Endpoints it has. */
export type WeightedService = { readonly weight: number; readonly endpoints: number };

const greatestWeight = 256;

/** The weight of each Endpoint of each Service of a Route, 0 to 256. */
export function serverWeights(services: readonly WeightedService[]): number[] {
  const active = services.filter(({ weight, endpoints }) => weight > 0 && endpoints > 0);
  if (active.length < 2) return services.map((service) => (active.includes(service) ? 1 : 0));
  const greatest = Math.max(...active.map(({ weight, endpoints }) => Math.fround(weight / endpoints)));
  return services.map(({ weight, endpoints }) => {
    if (weight === 0 || endpoints === 0) return 0;
    return Math.max(1, Math.floor((Math.fround(weight / endpoints) * greatestWeight) / greatest));
  });
}
