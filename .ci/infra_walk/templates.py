"""The templates of infra/, as data, and as the emulator can take them."""

import copy
import pathlib

from cfnlint.decode import cfn_yaml

INFRA = pathlib.Path("infra")

# Types that MiniStack 1.5.33 does not know. It refuses a template that names one.
UNKNOWN = {
    "AWS::ApplicationAutoScaling::ScalableTarget",
    "AWS::ApplicationAutoScaling::ScalingPolicy",
    "AWS::IoT::AccountAuditConfiguration",
    "AWS::IoT::MitigationAction",
    "AWS::IoT::ScheduledAudit",
}


def load(name):
    """The template, its short forms written out."""
    return cfn_yaml.load(str(INFRA / name))


def deployable(template):
    """Without what the emulator does not know and whatever refers to that: the template, and the resources left out."""
    template = copy.deepcopy(template)
    gone = {name for name, resource in template["Resources"].items() if _unknown(resource)}
    while more := {
        name for name, resource in template["Resources"].items() if name not in gone and _refers(resource, gone)
    }:
        gone |= more
    template["Resources"] = {name: kept for name, kept in template["Resources"].items() if name not in gone}
    template["Outputs"] = {name: kept for name, kept in template["Outputs"].items() if not _refers(kept, gone)}
    return template, sorted(gone)


def _unknown(resource):
    # It knows alarms, but none on metric math.
    math = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    return math or resource["Type"] in UNKNOWN


def _refers(node, names):
    if isinstance(node, list):
        return any(_refers(item, names) for item in node)
    if not isinstance(node, dict):
        return False
    if node.get("Ref") in names or (isinstance(node.get("Fn::GetAtt"), list) and node["Fn::GetAtt"][0] in names):
        return True
    return any(_refers(item, names) for item in node.values())


class Values:
    """What references stand for: parameters and resources by name, exports of other stacks."""

    def __init__(self, template, parameters, references, attributes, exports):
        defaults = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
        self.references = {**defaults, **parameters, **references}
        self.attributes, self.exports, self.template = attributes, exports, template

    def holds(self, condition):
        [(function, arguments)] = self.template["Conditions"][condition].items()
        if function == "Fn::Not":
            return not self._equals(arguments[0]["Fn::Equals"])
        assert function == "Fn::Equals", function
        return self._equals(arguments)

    def _equals(self, sides):
        left, right = (self.of(side) for side in sides)
        return str(left) == str(right)

    def of(self, node):
        """The node with every reference replaced."""
        if isinstance(node, list):
            return [value for item in node if (value := self.of(item)) is not None]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, argument)] = node.items()
            if function == "Ref":
                return None if argument == "AWS::NoValue" else self.references[argument]
            if function == "Fn::GetAtt":
                return self.attributes[".".join(argument)]
            if function == "Fn::ImportValue":
                return self.exports[self.of(argument)]
            if function == "Fn::If":
                return self.of(argument[1] if self.holds(argument[0]) else argument[2])
            if function == "Fn::Sub":
                text, own = argument if isinstance(argument, list) else (argument, {})
                for name, value in own.items():
                    text = text.replace("${%s}" % name, str(self.of(value)))
                for name, value in self.references.items():
                    text = text.replace("${%s}" % name, str(value))
                assert "${" not in text, text
                return text
        return {name: value for name, item in node.items() if (value := self.of(item)) is not None}
