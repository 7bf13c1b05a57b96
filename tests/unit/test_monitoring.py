"""How Prometheus reaches each instance, from the settings of its host."""

from __future__ import annotations

from role_code import load

FILTERS = load("plugins/filter/monitoring.py")


def jobs(**variables):
    host = FILTERS.monitoring_host({"inventory_hostname": "ocr1", **variables})
    return FILTERS.monitoring_jobs(host, "/etc/prometheus/ppocr")


def job(**variables):
    return jobs(**variables)[0]


def test_a_plain_host() -> None:
    assert job(ansible_host="192.0.2.7") == {
        "job_name": "ppocr-ocr1",
        "metrics_path": "/metrics",
        "scheme": "http",
        "static_configs": [{"targets": ["192.0.2.7:8866"], "labels": {"host": "ocr1"}}],
        "relabel_configs": [{"target_label": "job", "replacement": "ppocr"}],
    }


def test_token_and_certificate_are_files_of_the_host() -> None:
    secured = job(hubserving_tokens=["t1", "t2"], hubserving_tls_cert="/home/ops/ocr.crt")
    assert secured["scheme"] == "https"
    assert secured["tls_config"] == {"ca_file": "/etc/prometheus/ppocr/ocr1.ca"}
    assert secured["authorization"] == {"credentials_file": "/etc/prometheus/ppocr/ocr1.token"}
    assert "t1" not in str(secured)


def test_each_instance_is_a_target_where_it_listens() -> None:
    instances = [{"name": "a", "port": 8866}, {"name": "b", "port": "8867", "bind": "::1"}]
    targets = job(hubserving_instances=instances, hubserving_bind="0.0.0.0")["static_configs"]
    assert targets[0]["targets"] == ["ocr1:8866", "[::1]:8867"]


def test_the_edge_is_a_job_of_its_own_with_the_same_access() -> None:
    service, edge = jobs(ansible_host="192.0.2.7", hubserving_tokens=["t1"])
    assert edge.pop("job_name") == "ppocr-edge-ocr1"
    assert edge.pop("metrics_path") == "/metrics/edge"
    assert edge.pop("relabel_configs") == [{"target_label": "job", "replacement": "ppocr-edge"}]
    assert edge.items() <= service.items()
    assert len(jobs(edge_enabled="false")) == len(jobs(hubserving_network="host")) == 1


def test_balancers_are_scraped_where_their_metrics_can_be_reached() -> None:
    balancers = [
        {"inventory_hostname": "m"},
        {"inventory_hostname": "lb1", "ansible_host": "192.0.2.8"},
        {"inventory_hostname": "lb2", "ansible_host": "192.0.2.9", "balancer_metrics_bind": "::"},
        {
            "inventory_hostname": "lb3",
            "balancer_metrics_bind": "fd00::3",
            "balancer_metrics_port": 9,
        },
    ]
    found = FILTERS.monitoring_balancers(balancers, "m")
    assert [each["target"] for each in found["reached"]] == [
        "127.0.0.1:8404", "192.0.2.9:8404", "[fd00::3]:9",
    ]  # fmt: skip
    assert [each["name"] for each in found["hidden"]] == ["lb1"]
