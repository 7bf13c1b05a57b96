"""How Prometheus reaches each instance, from the settings of its host."""

from __future__ import annotations

from role_code import load

FILTERS = load("plugins/filter/monitoring.py")


def job(**variables):
    host = FILTERS.monitoring_host({"inventory_hostname": "ocr1", **variables})
    return FILTERS.monitoring_job(host, "/etc/prometheus/ppocr")


def test_a_plain_host() -> None:
    assert job(ansible_host="192.0.2.7") == {
        "job_name": "ppocr-ocr1",
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
