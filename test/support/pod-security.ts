// The restricted profile of the Pod Security Standards, as the admission of a cluster checks it.

type SecurityContext = {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly privileged?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly procMount?: string;
  readonly capabilities?: { readonly add?: readonly string[]; readonly drop?: readonly string[] };
  readonly seccompProfile?: { readonly type: string };
  readonly appArmorProfile?: { readonly type: string };
  readonly seLinuxOptions?: Readonly<Record<string, string>>;
  readonly sysctls?: readonly { readonly name: string }[];
};

type HttpProbe = { readonly httpGet: { readonly path: string; readonly port: number | string } };

/** A container, as far as tests look at it. */
export type Container = {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number; readonly hostPort?: number }[];
  readonly startupProbe?: HttpProbe;
  readonly livenessProbe?: HttpProbe;
  readonly readinessProbe?: HttpProbe;
  readonly lifecycle?: object;
  readonly resources?: { readonly requests?: object; readonly limits?: object };
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
};

/** The spec of a pod, as far as tests look at it. */
export type PodSpec = {
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly securityContext?: SecurityContext;
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Readonly<Record<string, unknown>>[];
};

const allowedVolumes = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);
const allowedProfiles = new Set<string | undefined>(['RuntimeDefault', 'Localhost']);
const safeSysctls = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_syncookies',
]);

/** What of a pod the restricted profile does not allow. */
export function restrictedFaults(pod: PodSpec): readonly string[] {
  const faults: string[] = [];
  const refuse = (broken: boolean, fault: string): void => {
    if (broken) faults.push(fault);
  };
  const shared = pod.securityContext ?? {};
  refuse(pod.hostNetwork === true || pod.hostPID === true || pod.hostIPC === true, 'host namespaces');
  refuse(shared.sysctls?.some(({ name }) => !safeSysctls.has(name)) === true, 'unsafe sysctls');
  for (const volume of pod.volumes ?? []) {
    const kinds = Object.keys(volume).filter((key) => key !== 'name');
    refuse(
      kinds.some((kind) => !allowedVolumes.has(kind)),
      `volume ${String(volume['name'])}: ${kinds.join()}`,
    );
  }
  for (const { name, ports = [], securityContext: own = {} } of [...pod.containers, ...(pod.initContainers ?? [])]) {
    const seccomp = own.seccompProfile ?? shared.seccompProfile;
    const appArmor = own.appArmorProfile ?? shared.appArmorProfile;
    refuse(own.privileged === true, `${name}: privileged`);
    refuse(own.allowPrivilegeEscalation !== false, `${name}: allowPrivilegeEscalation`);
    refuse((own.runAsNonRoot ?? shared.runAsNonRoot) !== true, `${name}: runAsNonRoot`);
    refuse((own.runAsUser ?? shared.runAsUser) === 0, `${name}: runAsUser`);
    refuse(own.capabilities?.drop?.includes('ALL') !== true, `${name}: capabilities.drop`);
    refuse(own.capabilities?.add?.some((added) => added !== 'NET_BIND_SERVICE') === true, `${name}: capabilities.add`);
    refuse(!allowedProfiles.has(seccomp?.type), `${name}: seccompProfile`);
    refuse(appArmor !== undefined && !allowedProfiles.has(appArmor.type), `${name}: appArmorProfile`);
    refuse((own.seLinuxOptions ?? shared.seLinuxOptions) !== undefined, `${name}: seLinuxOptions`);
    refuse((own.procMount ?? 'Default') !== 'Default', `${name}: procMount`);
    refuse(
      ports.some(({ hostPort = 0 }) => hostPort !== 0),
      `${name}: hostPort`,
    );
  }
  return faults;
}
