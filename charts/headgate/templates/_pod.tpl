{{/* The pods of one shard. All templates here take dict "root" $, "instance". */}}

{{/* Seconds of the preStop sleep. */}}
{{- define "headgate.preStopSeconds" -}}
{{- $sleep := dig "preStop" "sleep" "seconds" -1 .root.Values.lifecycle | int -}}
{{- if ge $sleep 0 }}{{ $sleep }}
{{- else if dig "preStop" "" .root.Values.lifecycle }}0
{{- else }}{{ int .root.Values.shutdown.preStopSleepSeconds }}{{ end -}}
{{- end -}}

{{/* Seconds that the process itself waits before it stops listening: the preStop sleep has been part of the delay. */}}
{{- define "headgate.shutdownDelaySeconds" -}}
{{- max 0 (sub (int .root.Values.shutdown.delaySeconds) (int (include "headgate.preStopSeconds" .))) -}}
{{- end -}}

{{/* The least termination grace period with which the process ends by itself. */}}
{{- define "headgate.stopSeconds" -}}
{{- with .root.Values.shutdown -}}
{{- add (int (include "headgate.preStopSeconds" $)) (int (include "headgate.shutdownDelaySeconds" $)) (int .timeoutSeconds) (int .marginSeconds) -}}
{{- end -}}
{{- end -}}

{{/* The environment of the container. Empty values are left out: they count as not set. */}}
{{- define "headgate.env" -}}
{{- $root := .root -}}
{{- $values := .instance.values -}}
{{- $shard := .instance.shard -}}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: HEADGATE_SOURCE
  value: kubernetes
{{- with $shard.namespace }}
- name: HEADGATE_NAMESPACE
  value: {{ . | quote }}
{{- end }}
{{- /* Unset, the router asks for itself whether it may read a Secret, which needs no right beyond its namespace. */}}
{{- if include "headgate.clusterWide" $root }}
- name: HEADGATE_SERVICE_ACCOUNT
  value: {{ printf "%s/%s" (include "headgate.namespace" $root) (include "headgate.serviceAccountName" $root) | quote }}
{{- end }}
- name: ROUTER_SERVICE_NAME
  value: {{ .instance.routerName | quote }}
- name: ROUTER_SERVICE_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- if .instance.index }}
- name: HEADGATE_SHARD_COUNT
  value: {{ .instance.count | quote }}
- name: HEADGATE_SHARD_INDEX
  {{- if eq .instance.index "pod" }}
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
  {{- else }}
  value: {{ .instance.index | quote }}
  {{- end }}
{{- end }}
{{- /* Behind the index, which it may name: only variables above it are put in. */}}
{{- with $shard.canonicalHostname }}
- name: ROUTER_CANONICAL_HOSTNAME
  value: {{ . | quote }}
{{- end }}
{{- with include "headgate.selector" $shard.routeLabels }}
- name: ROUTE_LABELS
  value: {{ . | quote }}
{{- end }}
{{- with $shard.routeFields }}
- name: ROUTE_FIELDS
  value: {{ . | quote }}
{{- end }}
{{- with include "headgate.selector" $shard.namespaceLabels }}
- name: NAMESPACE_LABELS
  value: {{ . | quote }}
{{- end }}
{{- with include "headgate.selector" $shard.projectLabels }}
- name: PROJECT_LABELS
  value: {{ . | quote }}
{{- end }}
{{- with $shard.domain }}
- name: ROUTER_DOMAIN
  value: {{ . | quote }}
{{- end }}
{{- with $shard.hostnameTemplate }}
- name: ROUTER_SUBDOMAIN
  value: {{ . | quote }}
{{- end }}
{{- if $shard.overrideHostname }}
- name: ROUTER_OVERRIDE_HOSTNAME
  value: "true"
{{- end }}
{{- with $shard.overrideDomains }}
- name: ROUTER_OVERRIDE_DOMAINS
  value: {{ join "," . | quote }}
{{- end }}
{{- with $shard.allowedDomains }}
- name: ROUTER_ALLOWED_DOMAINS
  value: {{ join "," . | quote }}
{{- end }}
{{- with $shard.deniedDomains }}
- name: ROUTER_DENIED_DOMAINS
  value: {{ join "," . | quote }}
{{- end }}
{{- with $values.admission }}
- name: ROUTER_ALLOW_WILDCARD_ROUTES
  value: {{ .allowWildcardRoutes | quote }}
- name: ROUTER_DISABLE_NAMESPACE_OWNERSHIP_CHECK
  value: {{ .disableNamespaceOwnershipCheck | quote }}
- name: EXTENDED_VALIDATION
  value: {{ .extendedValidation | quote }}
- name: ROUTER_ENABLE_EXTERNAL_CERTIFICATE
  value: {{ .externalCertificates | quote }}
- name: ROUTER_UPDATE_STATUS
  value: {{ .updateStatus | quote }}
{{- end }}
- name: ROUTER_SERVICE_HTTP_PORT
  value: {{ int $values.ports.http | quote }}
- name: ROUTER_SERVICE_HTTPS_PORT
  value: {{ int $values.ports.https | quote }}
- name: STATS_PORT
  value: {{ int $values.ports.admin | quote }}
- name: HEADGATE_METRICS_AUTH
  value: {{ include "headgate.metricsAuth" $root }}
{{- if $root.Values.metrics.tls.existingSecret }}
- name: ROUTER_METRICS_TLS_CERT_FILE
  value: /etc/headgate/metrics-certificate/tls.crt
- name: ROUTER_METRICS_TLS_KEY_FILE
  value: /etc/headgate/metrics-certificate/tls.key
{{- end }}
{{- $public := ternary $values.hostPort.ports $values.service.ports $values.hostPort.enabled }}
- name: HEADGATE_PUBLIC_HTTP_PORT
  value: {{ $values.publicPorts.http | default $public.http | default 80 | int | quote }}
- name: HEADGATE_PUBLIC_HTTPS_PORT
  value: {{ $values.publicPorts.https | default $public.https | default 443 | int | quote }}
{{- if $values.defaultCertificate.existingSecret }}
- name: DEFAULT_CERTIFICATE_DIR
  value: /etc/headgate/default-certificate
{{- end }}
{{- if include "headgate.destinationCAConfigMap" $root }}
- name: DEFAULT_DESTINATION_CA_PATH
  value: /etc/headgate/destination-ca/{{ $values.destinationCA.key }}
{{- end }}
{{- with $values.workers }}
- name: ROUTER_THREADS
  value: {{ int . | quote }}
{{- end }}
- name: ROUTER_MAX_CONNECTIONS
  value: {{ include "headgate.text" $values.maxConnections | quote }}
- name: HEADGATE_RUN_DIR
  value: /run/headgate
- name: ROUTER_GRACEFUL_SHUTDOWN_DELAY
  value: {{ printf "%ss" (include "headgate.shutdownDelaySeconds" .) | quote }}
- name: ROUTER_MAX_SHUTDOWN_TIMEOUT
  value: {{ printf "%ds" (int $values.shutdown.timeoutSeconds) | quote }}
- name: HEADGATE_LOG_LEVEL
  value: {{ $values.log.level | quote }}
- name: HEADGATE_ACCESS_LOG_SAMPLE
  value: {{ include "headgate.text" $values.log.accessSample | quote }}
{{- range $name, $value := $values.settings }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  value: {{ include "headgate.text" $value | quote }}
{{- end }}
{{- end }}
{{- with $values.extraEnvs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Security context of a pod: OpenShift chooses users and groups itself, and refuses those that are not of its range. */}}
{{- define "headgate.podSecurityContext" -}}
{{- $context := deepCopy (.root.Values.podSecurityContext | default dict) -}}
{{- if include "headgate.openshift" .root -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" "supplementalGroups" -}}
{{- end -}}
{{- $ports := .root.Values.ports -}}
{{- $lowest := min (int $ports.http) (int $ports.https) (int $ports.admin) -}}
{{- if lt (int $lowest) 1024 -}}
{{- /* One of the sysctls that Pod Security calls safe. It needs no capability. */ -}}
{{- $sysctl := dict "name" "net.ipv4.ip_unprivileged_port_start" "value" (toString $lowest) -}}
{{- $_ := set $context "sysctls" (append ($context.sysctls | default list) $sysctl) -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{- define "headgate.containerSecurityContext" -}}
{{- $context := .root.Values.containerSecurityContext | default dict -}}
{{- if include "headgate.openshift" .root -}}
{{- $context = omit $context "runAsUser" "runAsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{- define "headgate.affinity" -}}
{{- $values := .instance.values -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "headgate.shardLabels" . | fromYaml)) -}}
{{- if $values.affinity -}}
{{- toYaml $values.affinity -}}
{{- else if eq $values.kind "DaemonSet" -}}
{{- else if eq $values.podAntiAffinity "soft" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        {{- toYaml $term | nindent 8 }}
{{- else if eq $values.podAntiAffinity "hard" -}}
podAntiAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    {{- toYaml (list $term) | nindent 4 }}
{{- end -}}
{{- end -}}

{{- define "headgate.topologySpread" -}}
{{- if ne .instance.values.kind "DaemonSet" -}}
{{- $all := list -}}
{{- range .instance.values.topologySpreadConstraints -}}
{{- $each := deepCopy . -}}
{{- if not (hasKey $each "labelSelector") -}}
{{- $_ := set $each "labelSelector" (dict "matchLabels" (include "headgate.shardLabels" $ | fromYaml)) -}}
{{- /* Pods of the old version must not count while it is rolled out. */ -}}
{{- if and (eq $.instance.values.kind "Deployment") (not (hasKey $each "matchLabelKeys")) -}}
{{- $_ := set $each "matchLabelKeys" (list "pod-template-hash") -}}
{{- end -}}
{{- end -}}
{{- $all = append $all $each -}}
{{- end -}}
{{- with $all }}{{ toYaml . }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "headgate.podTemplate" -}}
{{- $root := .root -}}
{{- $values := .instance.values -}}
{{- $destinationCA := include "headgate.destinationCAConfigMap" $root -}}
metadata:
  labels:
    {{- $labels := merge (include "headgate.shardLabels" . | fromYaml) (include "headgate.describingLabels" $root | fromYaml) $values.podLabels }}
    {{- toYaml $labels | nindent 4 }}
  annotations:
    {{- toYaml (merge (dict) $values.podAnnotations (dict "kubectl.kubernetes.io/default-container" "router")) | nindent 4 }}
spec:
  serviceAccountName: {{ include "headgate.serviceAccountName" $root }}
  automountServiceAccountToken: {{ $values.serviceAccount.automount }}
  {{- /* Variables like HEADGATE_PORT, made from Services of the namespace, would look like settings. */}}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | default (include "headgate.stopSeconds" .) | int }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $values.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with $values.dnsPolicy | default (ternary "ClusterFirstWithHostNet" "" $values.hostNetwork) }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with $values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with $values.schedulerName }}
  schedulerName: {{ . }}
  {{- end }}
  securityContext:
    {{- include "headgate.podSecurityContext" . | nindent 4 }}
  {{- with $values.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: router
      image: {{ include "headgate.image" $root }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args:
        - serve
        {{- with $values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      env:
        {{- include "headgate.env" . | nindent 8 }}
      ports:
        - name: http
          containerPort: {{ int $values.ports.http }}
          {{- if $values.hostPort.enabled }}
          hostPort: {{ int $values.hostPort.ports.http }}
          {{- end }}
          protocol: TCP
        - name: https
          containerPort: {{ int $values.ports.https }}
          {{- if $values.hostPort.enabled }}
          hostPort: {{ int $values.hostPort.ports.https }}
          {{- end }}
          protocol: TCP
        - name: admin
          containerPort: {{ int $values.ports.admin }}
          protocol: TCP
      {{- with $values.startupProbe }}
      startupProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.livenessProbe }}
      livenessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.readinessProbe }}
      readinessProbe:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if $values.lifecycle }}
      lifecycle:
        {{- toYaml $values.lifecycle | nindent 8 }}
      {{- else if $values.shutdown.preStopSleepSeconds }}
      lifecycle:
        preStop:
          sleep:
            seconds: {{ int $values.shutdown.preStopSleepSeconds }}
      {{- end }}
      {{- with $values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- include "headgate.containerSecurityContext" . | nindent 8 }}
      terminationMessagePolicy: FallbackToLogsOnError
      volumeMounts:
        - name: run
          mountPath: /run/headgate
        {{- if not $values.serviceAccount.automount }}
        - name: service-account-token
          mountPath: /var/run/secrets/kubernetes.io/serviceaccount
          readOnly: true
        {{- end }}
        {{- if $values.defaultCertificate.existingSecret }}
        - name: default-certificate
          mountPath: /etc/headgate/default-certificate
          readOnly: true
        {{- end }}
        {{- if $root.Values.metrics.tls.existingSecret }}
        - name: metrics-certificate
          mountPath: /etc/headgate/metrics-certificate
          readOnly: true
        {{- end }}
        {{- if $destinationCA }}
        - name: destination-ca
          mountPath: /etc/headgate/destination-ca
          readOnly: true
        {{- end }}
        {{- with $values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with $values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: run
      emptyDir:
        medium: Memory
        sizeLimit: {{ $values.runDirectorySize }}
    {{- if not $values.serviceAccount.automount }}
    - name: service-account-token
      projected:
        sources:
          - serviceAccountToken:
              path: token
              expirationSeconds: {{ int $values.serviceAccount.tokenExpirationSeconds }}
          - configMap:
              name: kube-root-ca.crt
              items:
                - key: ca.crt
                  path: ca.crt
          - downwardAPI:
              items:
                - path: namespace
                  fieldRef:
                    fieldPath: metadata.namespace
    {{- end }}
    {{- with $values.defaultCertificate.existingSecret }}
    - name: default-certificate
      secret:
        secretName: {{ . }}
    {{- end }}
    {{- with $root.Values.metrics.tls.existingSecret }}
    - name: metrics-certificate
      secret:
        secretName: {{ . }}
    {{- end }}
    {{- with $destinationCA }}
    - name: destination-ca
      configMap:
        name: {{ . }}
        items:
          - key: {{ $values.destinationCA.key }}
            path: {{ $values.destinationCA.key }}
    {{- end }}
    {{- with $values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "headgate.affinity" . }}
  affinity:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "headgate.topologySpread" . }}
  topologySpreadConstraints:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}
