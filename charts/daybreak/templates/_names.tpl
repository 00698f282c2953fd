{{- define "daybreak.selector" -}}
app.kubernetes.io/name: daybreak
app.kubernetes.io/component: operator
{{- end }}

{{- define "daybreak.labels" -}}
app.kubernetes.io/name: daybreak
app.kubernetes.io/part-of: daybreak
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* An image by its component's name: (list . "train") */}}
{{- define "daybreak.image" -}}
{{- $top := index . 0 }}{{ $name := index . 1 }}{{ $images := $top.Values.images -}}
{{- with $images.registry }}{{ trimSuffix "/" . }}/{{ end }}daybreak/{{ $name }}
{{- with index $images.digests $name }}@{{ . }}{{ else }}:{{ $images.tag | default $top.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Pods that the restricted Pod Security Standard admits. */}}
{{- define "daybreak.podSecurity" -}}
runAsNonRoot: true
{{- if .Values.pods.fixedUserIds }}
runAsUser: 10001
runAsGroup: 10001
{{- end }}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "daybreak.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Namespaces that get the service account of pipelines, training and serving. */}}
{{- define "daybreak.accountNamespaces" -}}
{{- $all := .Values.namespaces }}
{{- with include "daybreak.podsOfKubeflow" . }}{{ $all = append $all . }}{{ end }}
{{- $all | uniq | toJson }}
{{- end }}

{{/* The one namespace that Kubeflow Pipelines runs all pods in; empty where it has profiles, or is not used. */}}
{{- define "daybreak.podsOfKubeflow" -}}
{{- with .Values.pipelines.kubeflow }}{{ if and .url (not .multiUser) }}{{ .namespace }}{{ end }}{{ end }}
{{- end }}
