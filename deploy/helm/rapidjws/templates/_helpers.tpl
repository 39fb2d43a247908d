{{- define "rapidjws.name" -}}
{{- default "rapidjws" .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "rapidjws.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "rapidjws.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rapidjws.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rapidjws.selector" -}}
app.kubernetes.io/name: {{ include "rapidjws.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rapidjws.labels" -}}
{{ include "rapidjws.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "rapidjws.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rapidjws.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "rapidjws.image" -}}
{{- $name := .Values.image.repository -}}
{{- with .Values.image.registry }}{{ $name = printf "%s/%s" . $name }}{{ end -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The configuration: what the values say, and on top of it what the pod gives. */}}
{{- define "rapidjws.config" -}}
{{- if not .Values.config.issuers -}}
{{- fail "config.issuers: name at least one issuer, or an existingConfig" -}}
{{- end -}}
{{- $config := deepCopy .Values.config -}}
{{- $server := default (dict) $config.server -}}
{{- range list "listen" "listen_mode" "grpc_listen" "grpc_server" "admin_listen" "workers" "drain_s" -}}
{{- if hasKey $server . -}}
{{- fail (printf "config.server.%s: the chart sets it; see the values under server" .) -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.mode "sidecar" -}}
{{- $_ := set $server "listen" "unix:/run/rapidjws/verify.sock" -}}
{{- $_ := set $server "listen_mode" "0660" -}}
{{- else -}}
{{- $_ := set $server "listen" (printf "0.0.0.0:%d" (int .Values.server.port)) -}}
{{- if .Values.server.grpcPort -}}
{{- $_ := set $server "grpc_listen" (printf "0.0.0.0:%d" (int .Values.server.grpcPort)) -}}
{{- $_ := set $server "grpc_server" .Values.server.grpcServer -}}
{{- end -}}
{{- end -}}
{{- $_ := set $server "admin_listen" "unix:/run/rapidjws/admin.sock" -}}
{{- $_ := set $server "workers" (int .Values.server.workers) -}}
{{- $_ := set $server "drain_s" (int .Values.server.drainSeconds) -}}
{{- $_ := set $config "server" $server -}}
{{- $rollout := default (dict) $config.rollout -}}
{{- if not (hasKey $rollout "state") -}}
{{- $_ := set $rollout "state" "/var/lib/rapidjws/state" -}}
{{- end -}}
{{- $_ := set $config "rollout" $rollout -}}
{{- $config | toJson -}}
{{- end -}}

{{- define "rapidjws.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities: { drop: [ALL] }
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "rapidjws.mounts" -}}
- { name: rapidjws-config, mountPath: /etc/rapidjws/config, readOnly: true }
- { name: rapidjws-run, mountPath: /run/rapidjws }
- { name: rapidjws-state, mountPath: /var/lib/rapidjws }
{{- range .Values.secrets }}
- { name: {{ printf "rapidjws-secret-%s" .name }}, mountPath: {{ printf "/etc/rapidjws/secrets/%s" .name }}, readOnly: true }
{{- end }}
{{- if .Values.caConfigMap }}
- { name: rapidjws-ca, mountPath: /etc/rapidjws/ca, readOnly: true }
{{- end }}
{{- end -}}

{{/* Volumes of a pod that has the container. */}}
{{- define "rapidjws.volumes" -}}
- name: rapidjws-config
  {{- with .Values.existingConfig }}
  {{- if eq .kind "Secret" }}
  secret: { secretName: {{ .name | quote }}, items: [{ key: {{ .key | quote }}, path: config.json }] }
  {{- else }}
  configMap: { name: {{ .name | quote }}, items: [{ key: {{ .key | quote }}, path: config.json }] }
  {{- end }}
  {{- else }}
  configMap: { name: {{ include "rapidjws.fullname" . }}, items: [{ key: config.json, path: config.json }] }
  {{- end }}
- name: rapidjws-run
  emptyDir: { medium: Memory, sizeLimit: 8Mi }
- name: rapidjws-state
  {{- if .Values.state.existingClaim }}
  persistentVolumeClaim: { claimName: {{ .Values.state.existingClaim | quote }} }
  {{- else }}
  emptyDir: { sizeLimit: {{ .Values.state.sizeLimit | quote }} }
  {{- end }}
{{- range .Values.secrets }}
- name: {{ printf "rapidjws-secret-%s" .name }}
  secret: { secretName: {{ .secretName | quote }}, defaultMode: 0440 }
{{- end }}
{{- if .Values.caConfigMap }}
- name: rapidjws-ca
  configMap: { name: {{ .Values.caConfigMap | quote }} }
{{- end }}
{{- end -}}

{{/* The native sidecar: an item of initContainers. Envoy asks it at /run/rapidjws/verify.sock. */}}
{{- define "rapidjws.sidecar" -}}
name: rapidjws
image: {{ include "rapidjws.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
restartPolicy: Always
args: [serve, --config, /etc/rapidjws/config/config.json]
securityContext:
  {{- include "rapidjws.securityContext" . | nindent 2 }}
startupProbe:
  exec: { command: [rapidjws-probe, /run/rapidjws/verify.sock, /healthz] }
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  exec: { command: [rapidjws-probe, /run/rapidjws/verify.sock, /healthz] }
  periodSeconds: 10
  timeoutSeconds: 3
resources:
  {{- toYaml .Values.resources | nindent 2 }}
volumeMounts:
  {{- include "rapidjws.mounts" . | nindent 2 }}
{{- end -}}
