// Package deploy holds no program: units, a compose file and manifests, and
// the test that they say what strongroomd, systemd and Kubernetes understand.
package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// exposureMax is systemd's own measure: 0 is hardened, 10 is root unconfined.
const exposureMax = "20" // tenths

// strongroomd builds the program, for its --help.
func strongroomd(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "strongroomd")
	cmd := exec.Command("go", "build", "-o", program, "strongroom/cmd/strongroomd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// service is a command line of strongroomd in one of our files.
type service struct {
	where string
	args  []string
}

// compose is what of a compose file is looked at.
type compose struct {
	Services map[string]struct {
		Command []string
		Volumes []string
		Secrets []struct{ Source, Target string }
		Ports   []string
		User    string
	}
}

func readCompose(t *testing.T) (c compose) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, "compose/compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// services finds all of them.
func services(t *testing.T) (all []service) {
	t.Helper()
	for _, unit := range []string{"strongroomd.service", "strongroomd-relay.service"} {
		line := regexp.MustCompile(`(?m)^ExecStart=\S+ (.*)$`).FindStringSubmatch(read(t, "systemd/"+unit))
		all = append(all, service{unit, strings.Fields(line[1])})
	}
	for name, s := range readCompose(t).Services {
		all = append(all, service{"compose " + name, s.Command})
	}
	for _, file := range []string{"island.yaml", "relay.yaml"} {
		for _, o := range objects(t, "kubernetes/"+file) {
			if args := containerArgs(o); args != nil {
				all = append(all, service{file, args})
			}
		}
	}
	return all
}

func objects(t *testing.T, file string) (all []map[string]any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(read(t, file)))
	for {
		var o map[string]any
		if decoder.Decode(&o) != nil {
			return all
		}
		all = append(all, o)
	}
}

// containerArgs are those of a workload's first container; nil: no workload.
func containerArgs(o map[string]any) (args []string) {
	at := any(o)
	for _, name := range []string{"spec", "template", "spec"} {
		m, _ := at.(map[string]any)
		at = m[name]
	}
	pod, _ := at.(map[string]any)
	containers, _ := pod["containers"].([]any)
	if len(containers) == 0 {
		return nil
	}
	list, _ := containers[0].(map[string]any)["args"].([]any)
	for _, a := range list {
		args = append(args, a.(string))
	}
	return args
}

// Every flag in every file is one that the program has.
func TestFlags(t *testing.T) {
	program := strongroomd(t)
	all := services(t)
	if len(all) != 2+6+2 {
		t.Fatalf("%d command lines", len(all))
	}
	for _, s := range all {
		help, err := exec.Command(program, s.args[0], "--help").Output()
		if err != nil {
			t.Fatalf("%s: strongroomd %s --help: %v", s.where, s.args[0], err)
		}
		flags := 0
		for _, a := range s.args[1:] {
			name, _, _ := strings.Cut(a, "=")
			if !strings.HasPrefix(name, "--") {
				continue
			}
			flags++
			if !regexp.MustCompile(name + `[=\s]`).Match(help) {
				t.Errorf("%s: strongroomd %s has no %s", s.where, s.args[0], name)
			}
		}
		if flags < 6 {
			t.Errorf("%s: %d flags were read", s.where, flags)
		}
		if s.args[0] == "serve" && !slices.Contains(s.args, "--existing") {
			t.Errorf("%s: over an empty data folder it would make another fleet", s.where)
		}
	}
}

// In the compose file each box has its own folder and passphrase, and the
// relay knows all of them; the plan of the ceremony names the same.
func TestCompose(t *testing.T) {
	c, plan, boxes := readCompose(t), read(t, "compose/plan.json"), 0
	relay := strings.Join(c.Services["relay"].Command, " ")
	for name, s := range c.Services {
		if name == "relay" {
			continue
		}
		boxes++
		if len(s.Secrets) != 1 || s.Secrets[0].Source != name || !slices.Contains(s.Volumes, "./island/"+name+":/data") || len(s.Ports) > 0 {
			t.Errorf("%s: %+v", name, s)
		}
		if !strings.Contains(relay, "--box-url=https://"+name+":8640") || !strings.Contains(plan, fmt.Sprintf(`"address": "%s:8650"`, name)) {
			t.Errorf("%s is not known to the relay or the plan", name)
		}
	}
	if boxes != 5 || len(c.Services["relay"].Ports) != 1 {
		t.Errorf("%d boxes; the relay's ports are %v", boxes, c.Services["relay"].Ports)
	}
}

// systemd understands the units, and finds them hardened.
func TestSystemd(t *testing.T) {
	dir := t.TempDir()
	for _, unit := range []string{"strongroomd.service", "strongroomd-relay.service"} {
		text := strings.ReplaceAll(read(t, "systemd/"+unit), "/usr/local/bin/strongroomd", "/bin/true") // it wants to see a program
		path := filepath.Join(dir, unit)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "strongroomd") {
				t.Errorf("%s: systemd says: %s", unit, line)
			}
		}
		if err != nil {
			t.Errorf("%s: %v: %s (.ci/schedule installs systemd-analyze)", unit, err, out)
		}
		if out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold="+exposureMax, path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", unit, err, out)
		}
		wrong := strings.Replace(text, "NoNewPrivileges=yes", "NoNewPrivilege=yes", 1)
		if err := os.WriteFile(path, []byte(wrong), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, _ := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput(); !strings.Contains(string(out), "NoNewPrivilege") {
			t.Errorf("%s: a misspelt setting is taken: %s", unit, out)
		}
	}
}

// Kubernetes understands the manifests, to the last field.
func TestKubernetes(t *testing.T) {
	const judge = "../.cache/bin/kubernetes"
	out, err := exec.Command(judge, "kubernetes/island.yaml", "kubernetes/relay.yaml").CombinedOutput()
	if err != nil || string(out) != "8 objects\n" {
		t.Errorf("%v: %s (make tools builds it)", err, out)
	}
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	text := strings.Replace(read(t, "kubernetes/island.yaml"), "readOnlyRootFilesystem", "readonlyRootFilesystem", 1)
	if err := os.WriteFile(wrong, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(judge, wrong).CombinedOutput(); err == nil || !strings.Contains(string(out), "readonlyRootFilesystem") {
		t.Errorf("a misspelt field is taken: %s", out)
	}
	island := read(t, "kubernetes/island.yaml")
	if !strings.Contains(island, "replicas: 5") || !strings.Contains(island, "maxUnavailable: 1") {
		t.Error("not an island of five that loses one at a time")
	}
	relay := read(t, "kubernetes/relay.yaml")
	for n := range 5 {
		if !strings.Contains(relay, fmt.Sprintf("https://box-%d.island.strongroom.svc:8640", n)) {
			t.Errorf("the relay does not know box %d", n)
		}
	}
}
