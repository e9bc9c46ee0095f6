"""What cloud-init makes of a seed: nocloud|configdrive DIRECTORY MAC... -> JSON on standard output."""
import json
import os
import shutil
import sys
import tempfile

from cloudinit import helpers, user_data
from cloudinit.config import schema
from cloudinit.sources import DataSourceConfigDrive, DataSourceNoCloud
from cloudinit.sources.helpers import openstack

kind, directory, macs = sys.argv[1], sys.argv[2], sys.argv[3:]
with tempfile.TemporaryDirectory() as root:
    paths = helpers.Paths({"cloud_dir": os.path.join(root, "cloud"), "run_dir": os.path.join(root, "run")})
    os.makedirs(paths.get_runpath())
    seed = os.path.join(root, "seed")
    os.makedirs(seed)
    paths.seed_dir = seed
    name = {"nocloud": "nocloud", "configdrive": "config_drive"}[kind]
    shutil.copytree(directory, os.path.join(seed, name))
    if kind == "nocloud":
        source = DataSourceNoCloud.DataSourceNoCloud({"datasource": {"NoCloud": {"fs_label": None}}}, None, paths)
        source.perform_dmi = False
        found = source._get_data()
        network = source.network_config
    else:
        source = DataSourceConfigDrive.DataSourceConfigDrive({}, None, paths)
        results = DataSourceConfigDrive.read_config_drive(os.path.join(seed, name))
        found = source._get_data()
        network = openstack.convert_net_json(
            results.get("networkdata"), known_macs={mac: "eth%d" % index for index, mac in enumerate(macs)}
        )
    vendor = source.get_vendordata_raw()
    texts = {"user": source.get_userdata_raw(), "vendor": vendor}
    parts, wrong = {}, []
    for which, raw in texts.items():
        if raw is None:
            continue
        message = user_data.UserDataProcessor(paths).process(raw)
        parts[which] = [
            {"type": part.get_content_type(), "text": part.get_payload(decode=True).decode()}
            for part in message.walk()
            if part.get_content_maintype() != "multipart"
        ]
        for part in parts[which]:
            if part["type"] == "text/cloud-config":
                import yaml

                try:
                    schema.validate_cloudconfig_schema(yaml.safe_load(part["text"]), strict=True)
                except schema.SchemaValidationError as error:
                    wrong.append("%s: %s" % (which, error))
    print(
        json.dumps(
            {
                "found": found,
                "instanceId": source.get_instance_id(),
                "hostname": source.metadata.get("local-hostname"),
                "keys": source.get_public_ssh_keys(),
                "network": network,
                "parts": parts,
                "wrong": wrong,
            }
        )
    )
